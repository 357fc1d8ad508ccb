import type { Socket } from "node:net";
import { join } from "node:path";
import { CheckFailed, equal, eventually, includes } from "../../lib/assert.ts";
import { logLines } from "../../lib/engine.ts";
import { loadImage } from "../../lib/load-image.ts";
import { type Lab, type Scenario, step } from "../../lib/scenario.ts";
import { flood, heldBy, open, sendRaw, slowestPing, socketOf } from "./clients.ts";
import { forgesSibling } from "./forged.ts";
import { type Entries, importImage, Target, tarOf } from "./hostile.ts";

const LINKS = (path: string) => [path, `../../../../../../../../../..${path}`];
/** Source: moby, daemon/pkg/oci/caps and profiles: the 14 capabilities of a container, root's and nobody's. */
const DEFAULT_CAPABILITIES = "00000000a80425fb";
const NO_CAPABILITIES = "0000000000000000";
const HEAD = "HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\n";
const CREATE = `POST /v1.47/containers/create ${HEAD}`;
const SMUGGLED = "GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n";

/** Runs the image's shell and tells what came of it; the host's files are as they were. */
async function attack(lab: Lab, target: Target, image: Entries, options: readonly string[], command = "true") {
	await importImage(lab, "hostile:1", image);
	const result = await lab.docker.run(["run", "--rm", ...options, "hostile:1", "sh", "-c", command]);
	target.check(`docker run ${options.join(" ")} of ${JSON.stringify(image)}`);
	await lab.docker("rmi", "-f", "hostile:1");
	return { ...result, all: result.stdout + result.stderr };
}

async function status(lab: Lab, ...argv: string[]): Promise<Map<string, string>> {
	const text = await lab.docker(...argv, "cat", "/proc/self/status");
	return new Map(text.split("\n").map((line) => [line.split(":\t")[0] ?? "", (line.split(":\t")[1] ?? "").trim()]));
}

function put(lab: Lab, path: string, body: Buffer): Promise<Response> {
	const url = `http://d/v1.47/containers/victim/archive?path=${encodeURIComponent(path)}`;
	return fetch(url, { method: "PUT", body, unix: socketOf(lab), headers: { "content-type": "application/x-tar" } });
}

async function create(lab: Lab, body: string): Promise<{ status: number; text: string }> {
	const headers = { "content-type": "application/json" };
	const url = "http://d/v1.47/containers/create";
	const reply = await fetch(url, { method: "POST", body, headers, unix: socketOf(lab) });
	return { status: reply.status, text: await reply.text() };
}

export const scenario: Scenario = {
	title: "attacks that have worked on container engines do not work on this one",
	steps: [
		step("images load", (lab) => loadImage(lab, "busybox")),
		step(
			"an image whose /dev is a link makes nothing on the host, and runs (CVE-2026-47766, CVE-2026-41579)",
			async (lab) => {
				const target = new Target(lab);
				for (const link of LINKS(`${target.path}/dir`)) {
					const image = { ...target.inImage, dev: link };
					for (const options of [[], ["-t"], ["--device", "/dev/zero:/dev/evil"]]) {
						const { code, all } = await attack(lab, target, image, options, "ls -ld /dev /dev/null");
						equal(code, 0, `exit code (${all})`);
						includes(all, "drwxr-xr-x", "/dev is a directory");
					}
				}
				const { code, stderr } = await attack(
					lab,
					target,
					{ ...target.inImage, proc: target.path, sys: target.path },
					[],
				);
				equal(code, 0, `exit code with links at /proc and /sys (${stderr})`);
			},
		),
		step(
			"links in a volume on /dev lead no stream and no file astray (CVE-2026-88264, CVE-2026-88265)",
			async (lab) => {
				const target = new Target(lab);
				const bound = ["-u", "1234", "-v", `${target.path}/file:/bound`];
				const file = await attack(
					lab,
					target,
					{ dev: null, "dev/null": "/bound" },
					["-v", "/dev", ...bound],
					"echo evil",
				);
				includes(file.stderr, "container's /dev/null is invalid", "a null device that is a link");
				const image = { dev: null, "dev/console": `${target.path}/made`, lnk: "dev" };
				const led = await attack(lab, target, image, ["-t", "-v", "/lnk"]);
				includes(led.all, "it leads to /dev", "a volume whose target leads to /dev");
				await lab.docker("run", "--rm", "-v", "/dev:/dev", "busybox", "true");
			},
		),
		step("nothing covers /proc; the root of a stopped container is looked at before its start", async (lab) => {
			const target = new Target(lab);
			for (const options of [
				["-v", "/proc"],
				["--tmpfs", "/proc/self"],
				["-v", "/lnk"],
			]) {
				const { code, stderr } = await attack(lab, target, { lnk: "proc/sys" }, options);
				equal(code, 125, `exit code of ${options.join(" ")}`);
				includes(stderr, "it is inside /proc".slice(3), options.join(" "));
			}
			await lab.docker("create", "--name", "victim", "busybox", "true");
			equal((await put(lab, "/", await tarOf({ dev: `${target.path}/dir` }))).status, 200, "PUT of a link at /dev");
			const { stderr } = await lab.docker.run(["start", "victim"]);
			includes(stderr, "/dev of the container is not a directory", "start");
			target.check("start");
			await lab.docker("rm", "-f", "victim");
		}),
		step(
			"links of an image lead its users, hosts file, volumes and work directory to nothing of the host",
			async (lab) => {
				const target = new Target(lab);
				const at = target.path;
				const runs: [Entries, string[], string][] = [
					[{ etc: null, "etc/passwd": `${at}/file` }, [], "cat /etc/passwd"],
					[{ etc: null, "etc/hosts": `${at}/file`, "etc/resolv.conf": `../../../..${at}/new` }, [], "cat /etc/hosts"],
					[{ data: `${at}/dir` }, ["-v", "/data"], "touch /data/made"],
					[{ data: null, "data/x": `${at}/file` }, ["-v", "/data"], "cat /data/x"],
					[{ data: at }, ["-w", "/data/dir"], "touch made"],
					[{ sbin: `${at}/dir` }, ["--init"], "ls /sbin"],
				];
				for (const [image, options, command] of runs) {
					const { all } = await attack(lab, target, image, options, command);
					equal(all.includes("secret"), false, `secret in the output of ${command}`);
				}
				const user = await attack(lab, target, { etc: null, "etc/passwd": `${at}/file` }, ["-u", "secret"]);
				includes(user.stderr, "unable to find user secret", "a user of the host's file");
			},
		),
		step(
			"no descriptor of the engine is in a container, an exec, a health probe or a build step (CVE-2024-21626)",
			async (lab) => {
				const list = "ls /proc/self/fd | tr '\\n' ' '";
				equal(await lab.docker("run", "--rm", "busybox", "sh", "-c", list), "0 1 2 3 ", "a container's");
				const health = ["--health-cmd", list, "--health-interval", "200ms"];
				await lab.docker("run", "-d", "--name", "victim", ...health, "busybox", "sleep", "1000");
				equal(await lab.docker("exec", "victim", "sh", "-c", list), "0 1 2 3 ", "an exec's");
				equal(await lab.docker("exec", "victim", "sh", "-c", "ls /proc/1/fd | tr '\\n' ' '"), "0 1 2 ", "of pid 1");
				const format = "{{range .State.Health.Log}}{{.Output}}{{end}}";
				await eventually("a probe", async () =>
					(await lab.docker("inspect", "-f", format, "victim")).startsWith("0 1 2 3 "),
				);
				const built = Bun.spawnSync(["docker", "build", "-"], {
					env: { ...lab.docker.env, DOCKER_BUILDKIT: "0" },
					stdin: Buffer.from("FROM busybox\nRUN echo descriptors $(ls /proc/self/fd)\n"),
				});
				includes(built.stdout.toString(), "descriptors 0 1 2 3\n", "a build step's");
				for (let fd = 3; fd < 20; fd++) {
					for (const argv of [["run", "--rm"], ["exec"]]) {
						const where = argv[0] === "run" ? "busybox" : "victim";
						const { code } = await lab.docker.run([...argv, "-w", `/proc/self/fd/${fd}`, where, "ls", "../../../.."]);
						equal(code !== 0, true, `docker ${argv[0]} -w /proc/self/fd/${fd}`);
					}
				}
				await lab.docker("rm", "-f", "victim");
			},
		),
		step("capabilities, groups and seccomp are docker's defaults, for root and others, in execs too", async (lab) => {
			await lab.docker("run", "-d", "--name", "victim", "busybox", "sleep", "1000");
			for (const [argv, own] of [
				[["run", "--rm", "busybox"], DEFAULT_CAPABILITIES],
				[["run", "--rm", "-u", "1000:50", "busybox"], NO_CAPABILITIES],
				[["exec", "victim"], DEFAULT_CAPABILITIES],
				[["exec", "-u", "1000:50", "victim"], NO_CAPABILITIES],
			] as const) {
				const found = await status(lab, ...argv);
				const sets = ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "Seccomp"].map((key) => found.get(key));
				equal(sets, [NO_CAPABILITIES, own, own, DEFAULT_CAPABILITIES, NO_CAPABILITIES, "2"], argv.join(" "));
				equal(found.get("Groups"), own === NO_CAPABILITIES ? "50" : "0", `groups of ${argv.join(" ")}`);
			}
			const hidden = "cat /proc/keys /proc/timer_list /proc/interrupts; ls /sys/firmware /proc/acpi 2>/dev/null";
			equal(
				(await lab.docker.run(["exec", "victim", "sh", "-c", hidden])).stdout.replace(/\/\S+:|\s/g, ""),
				"",
				"masked",
			);
			const writes =
				"for f in /proc/sys/kernel/domainname /proc/sysrq-trigger /proc/irq/x /sys/x; do echo x >$f && echo $f; done";
			equal((await lab.docker.run(["exec", "victim", "sh", "-c", writes])).stdout, "", "written");
			await lab.docker("rm", "-f", "victim");
		}),
		step(
			"docker cp neither reads nor writes what links lead to, swapped all the while (CVE-2018-15664)",
			async (lab) => {
				const target = new Target(lab);
				const at = target.path;
				const swap = `mkdir -p ${at}/dir; ln -s ${at} /l; while :; do mkdir /r; echo in >/r/x; rm -rf /r; ln -s ${at}/dir /r; rm /r; done`;
				await lab.docker("run", "-d", "--name", "victim", "busybox", "sh", "-c", swap);
				const tars: [string, Entries][] = [
					["/", { [`../../../../../..${at}/file`]: "=evil" }],
					["/", { [`${at}/file`]: "=evil" }],
					["/tmp", { k: at, "k/file": "=evil" }],
					["/tmp", { h: `hard:${at}/file` }],
					["/tmp", { s: `${at}/file`, h: "hard:s" }],
					["/l", { file: "=evil", "dir/made": "=evil" }],
					["/", { "proc/sys/kernel/domainname": "=evil" }],
				];
				for (const [path, entries] of tars) {
					await put(lab, path, await tarOf(entries)).then((reply) => reply.text());
					target.check(`PUT ${path} of ${JSON.stringify(entries)}`);
				}
				const evil = await tarOf({ x: "=evil", made: "=evil" });
				const evilBelow = await tarOf({ "r/made": "=evil" });
				const until = Date.now() + 3000;
				while (Date.now() < until) {
					const { stdout } = await lab.docker.run(["cp", "victim:/r", "-"]);
					equal(stdout.includes("secret"), false, "secret in what was copied out");
					await put(lab, "/r", evil).then((reply) => reply.text());
					await put(lab, "/", evilBelow).then((reply) => reply.text());
				}
				target.check("swapped directories");
				await lab.docker("rm", "-f", "victim");
			},
		),
		step(
			"one parse, one meaning: keys in any case, none twice, whatever the size (CVE-2024-41110, CVE-2026-34040)",
			async (lab) => {
				const command = '"Image":"busybox","Cmd":["true"]';
				for (const twice of [
					`{${command},"HostConfig":{"CapDrop":["ALL"]},"HostConfig":{}}`,
					`{${command},"HostConfig":{"CapDrop":["ALL"]},"hostconfig":{}}`,
					`{${command},"HostConfig":{"Privileged":false,"\\u0050rivileged":true}}`,
				]) {
					const { status: code, text } = await create(lab, twice);
					equal(code, 400, `status for ${twice}`);
					includes(text, "duplicate", `answer to ${twice}`);
				}
				const padded = `{${command},"hostconfig":{"PRIVILEGED":true},"Labels":{"big":"${"x".repeat(3 << 20)}"}}`;
				const { Id } = JSON.parse((await create(lab, padded)).text);
				equal(await lab.docker("inspect", "-f", "{{.HostConfig.Privileged}}", Id), "true", "privileged, behind 3 MB");
				await lab.docker("rm", Id);
				equal((await create(lab, "")).status, 400, "an empty body");
				equal((await create(lab, `{${command}} {"HostConfig":{"Privileged":true}}`)).status, 400, "two documents");
			},
		),
		step("requests that two readers would cut differently are refused, and their connection ends", async (lab) => {
			for (const headers of [
				"Content-Length: 5\r\nTransfer-Encoding: chunked",
				"Content-Length: 2\r\nContent-Length: 40",
				"Content-Length: +2",
				"Transfer-Encoding: xchunked",
				"Transfer-Encoding : chunked",
				"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
				"X: a\r\n folded",
				"X: a\0b",
			]) {
				const text = await sendRaw(lab, `${CREATE}${headers}\r\n\r\n0\r\n\r\n${SMUGGLED}`);
				includes(text.slice(0, 12), "HTTP/1.1 400", JSON.stringify(headers));
				equal(text.split("HTTP/1.1 ").length, 2, `answers to ${JSON.stringify(headers)}`);
			}
		}),
		step("endless heads and bodies are cut off, and nobody else waits", async (lab) => {
			const piece = "a".repeat(65536);
			const before = heldBy(lab);
			equal((await flood(lab, `GET /_ping ${HEAD}X: `, piece, 1 << 30)) < 8 << 20, true, "an endless header ends");
			equal((await flood(lab, "GET /", piece, 1 << 30)) < 8 << 20, true, "an endless URL ends");
			const chunk = `10000\r\n${" ".repeat(65536)}\r\n`;
			const taken = await flood(lab, `${CREATE}Transfer-Encoding: chunked\r\n\r\n`, chunk, 1 << 28);
			equal(taken < 64 << 20, true, `an endless body ends (${taken} bytes)`);
			await flood(lab, `POST /v1.47/nosuch ${HEAD}Transfer-Encoding: chunked\r\n\r\n`, chunk, 1 << 28);
			const slow = await slowestPing(lab);
			if (slow > 1000) throw new CheckFailed(`a ping took ${slow} ms`);
			const grown = heldBy(lab).memory - before.memory;
			if (grown > 150) throw new CheckFailed(`the daemon grew by ${grown} MB`);
		}),
		step(
			"10,000 idle, 1,000 slow and 200 half-open connections harm nobody, and go when their clients go",
			async (lab) => {
				await lab.docker("run", "-d", "-i", "--name", "victim", "busybox", "cat");
				const before = heldBy(lab);
				const sockets: Socket[] = [];
				for (let i = 0; i < 10_000; i++) sockets.push(await open(lab));
				for (let i = 0; i < 1000; i++) {
					const socket = await open(lab);
					socket.write("GET /_ping HTTP/1.1\r\nHost: d\r\nX: ");
					sockets.push(socket);
				}
				const upgrade = "Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n";
				for (let i = 0; i < 200; i++) {
					const socket = await open(lab);
					socket.end(`POST /v1.47/containers/victim/attach?stream=1&stdout=1&stdin=1 ${HEAD}${upgrade}`);
					sockets.push(socket);
				}
				const slow = await slowestPing(lab);
				if (slow > 1000) throw new CheckFailed(`a ping took ${slow} ms`);
				const grown = heldBy(lab).memory - before.memory;
				if (grown > 200) throw new CheckFailed(`the daemon grew by ${grown} MB`);
				for (const socket of sockets) socket.destroy();
				await eventually("descriptors as before", () => heldBy(lab).descriptors < before.descriptors + 20);
				await lab.docker("rm", "-f", "victim");
			},
		),
		step(
			"a container is no sibling of its network, nor the gateway, whatever it says by address, ARP and MAC",
			forgesSibling,
		),
		step("names cannot say more than a name: not in rules, files, headers or log lines", async (lab) => {
			const name = "com.docker.network.bridge.name";
			for (const value of ['x","eth0', "eth*", "a\\b", "a\nb", "../x"]) {
				const { code, stderr } = await lab.docker.run(["network", "create", "-o", `${name}=${value}`, "evil"]);
				equal(code, 1, `exit code for ${JSON.stringify(value)}`);
				includes(stderr, "invalid bridge name", JSON.stringify(value));
			}
			for (const option of [
				["--hostname", "a\nb"],
				["--add-host", "a\n6.6.6.6 b:1.2.3.4"],
				["--dns-search", "a\nnameserver 6.6.6.6"],
				["--dns-option", "a\nnameserver 6.6.6.6"],
				["--name", "../../x"],
			]) {
				const { code } = await lab.docker.run(["create", ...option, "busybox", "true"]);
				equal(code !== 0, true, `refusal of ${JSON.stringify(option)}`);
			}
			const headers = await sendRaw(lab, `GET /v1.47/containers/x%0d%0aX-Evil:%20y/json ${HEAD}\r\n`);
			equal(/^X-Evil/im.test(headers.split("\r\n\r\n")[0] ?? ""), false, "a header of the client's");
			const lines = logLines(join(lab.engine.logFile));
			equal(
				lines.filter((line) => line.text !== undefined),
				[],
				"lines of the log that are no JSON",
			);
			equal(
				lines.filter(({ level }) => level === "error"),
				[],
				"errors in the daemon's log",
			);
		}),
	],
};
