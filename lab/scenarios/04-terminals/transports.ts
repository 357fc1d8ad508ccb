import { readlinkSync } from "node:fs";
import { connect } from "node:net";
import WebSocket from "ws";
import { equal, eventually, includes } from "../../lib/assert.ts";
import { createDocker } from "../../lib/docker.ts";
import { createEngine, type Engine, type EngineSettings } from "../../lib/engine.ts";
import { loadImage } from "../../lib/load-image.ts";
import { type Lab, type Step, step } from "../../lib/scenario.ts";

const socketOf = ({ engine }: Lab) => engine.host.slice("unix://".length);

/** Attaches without Upgrade, types, half-closes; gives all that came. */
function plainAttach(lab: Lab, name: string, typed: string): Promise<string> {
	const socket = connect({ path: socketOf(lab), allowHalfOpen: true });
	let text = "";
	socket.write(`POST /v1.41/containers/${name}/attach?stdin=1&stdout=1&stream=1 HTTP/1.1\r\nHost: d\r\n\r\n`);
	socket.once("data", () => socket.end(typed));
	socket.on("data", (chunk) => {
		text += chunk;
	});
	return new Promise((resolve, reject) => socket.on("close", () => resolve(text)).on("error", reject));
}

/** A second engine beside the lab's, from the same binary, with TLS on loopback. */
let second: { engine: Engine; settings: EngineSettings } | undefined;

function secondEngine({ engine, directory }: Lab, tls: string) {
	const below = `${directory}/second`;
	const settings: EngineSettings = {
		binary: readlinkSync(`/proc/${engine.pid}/exe`),
		instance: `${engine.instance}t`,
		directory: below,
		dns: `${engine.dns.address}:${engine.dns.port + 1}`,
		flags: [
			...["--host", `tcp://${engine.dns.address}:23760`],
			...["--tlscacert", `${tls}/ca.pem`, "--tlscert", `${tls}/server.pem`, "--tlskey", `${tls}/server-key.pem`],
		],
	};
	second = { engine: createEngine(settings), settings };
	return second;
}

/** A CA, a server's and a client's certificate, and another CA's certificate, made by openssl in `directory`. */
function makeCertificates(directory: string, address: string): void {
	const script = `set -e; mkdir -p "$1"; cd "$1"
		key="-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
		for ca in ca stranger; do openssl req -x509 $key -keyout $ca-key.pem -out $ca.pem -subj /CN=$ca; done
		issue() {
			openssl req $key -keyout $1-key.pem -out $1.csr -subj /CN=$1
			printf "$2" >$1.ext
			openssl x509 -req -in $1.csr -CA ca.pem -CAkey ca-key.pem -CAcreateserial -days 2 -extfile $1.ext -out $1.pem
		}
		issue server "subjectAltName=IP:$2\\nextendedKeyUsage=serverAuth\\n"
		issue client "extendedKeyUsage=clientAuth\\n"`;
	const made = Bun.spawnSync(["sh", "-c", script, "sh", directory, address], { stderr: "pipe" });
	equal(made.exitCode, 0, `openssl (${made.stderr})`);
}

/** The API by the other ways in, and a second engine beside the first. */
export const transportSteps: readonly Step[] = [
	step("attach without Upgrade flows both ways, on one connection", async (lab) => {
		await lab.docker("create", "-i", "--name", "plain", "busybox", "sh", "-c", "cat; echo done");
		await lab.docker("start", "plain");
		const text = await plainAttach(lab, "plain", "typed\n");
		includes(text, "HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\n", "head");
		includes(text, "typed\n", "echo");
		includes(text, "done\n", "what comes after the end of input");
		await lab.docker("rm", "-f", "plain");
	}),
	step("a WebSocket attaches: log first, then what is typed, then the end", async (lab) => {
		const loop = "echo ready; while read a; do echo got $a; [ $a = q ] && exit; done";
		await lab.docker("run", "-di", "--name", "socket", "busybox", "sh", "-c", loop);
		const path = "/v1.51/containers/socket/attach/ws?logs=1&stream=1&stdin=1&stdout=1";
		const client = new WebSocket(`ws+unix://${socketOf(lab)}:${path}`);
		let text = "";
		client.on("message", (data) => {
			text += data;
		});
		const closed = new Promise<number>((resolve) => client.on("close", resolve));
		await eventually("the log", () => text === "ready\n");
		for (const word of ["a", "q"]) client.send(`${word}\n`);
		equal([await closed, text], [1000, "ready\ngot a\ngot q\n"], "close code and text");
		await lab.docker("rm", "socket");
	}),
	step("a second engine with TLS serves who shows a certificate, and nobody else", async (lab) => {
		const tls = `${lab.directory}/certificates`;
		makeCertificates(tls, lab.engine.dns.address);
		await secondEngine(lab, tls).engine.start();
		const docker = createDocker(`tcp://${lab.engine.dns.address}:23760`, `${lab.directory}/docker-config`);
		const shown = (name: string) => [
			...["--tlsverify", "--tlscacert", `${tls}/ca.pem`],
			...["--tlscert", `${tls}/${name}.pem`, "--tlskey", `${tls}/${name}-key.pem`],
		];
		const known = shown("client");
		await loadImage(
			{ ...lab, docker: Object.assign((...argv: string[]) => docker(...known, ...argv), docker) },
			"busybox",
		);
		const echo = await docker.run([...known, "run", "--rm", "-i", "busybox", "sh", "-c", "cat; echo done"], {
			stdin: "x\n",
		});
		equal([echo.code, echo.stdout], [0, "x\ndone"], "a hijacked stream over TLS");
		for (const flags of [shown("stranger"), ["--tls", "--tlscacert", `${tls}/ca.pem`], []]) {
			equal((await docker.run([...flags, "ps"])).code === 0, false, `docker ${flags.join(" ")} gets in`);
		}
	}),
	step("both engines have containers of the same name; killing one leaves the other whole", async (lab) => {
		if (!second) throw new Error("no second engine");
		const other = createDocker(second.engine.host, `${lab.directory}/docker-config`);
		for (const docker of [lab.docker, other]) {
			await docker("run", "-d", "--name", "twin", "busybox", "sleep", "1000");
		}
		const addresses = await Promise.all(
			[lab.docker, other].map((docker) =>
				docker("inspect", "-f", "{{.NetworkSettings.Networks.bridge.IPAddress}}", "twin"),
			),
		);
		equal(addresses[0] === addresses[1], false, `same address ${addresses}`);
		await second.engine.kill();
		equal(await lab.docker("exec", "twin", "echo", "whole"), "whole", "exec in the first");
		await second.engine.start();
		await other("rm", "-f", "twin");
		equal(await lab.docker("exec", "twin", "echo", "whole"), "whole", "exec in the first");
		await lab.docker("rm", "-f", "twin");
	}),
	step("a second daemon on one data root, run root or name is refused", async ({ engine }) => {
		if (!second) throw new Error("no second engine");
		const { settings } = second;
		await second.engine.stop();
		const taken: [Partial<Record<string, string>>, string][] = [
			[{ "--data-root": engine.dataRoot }, `cannot start on ${engine.dataRoot}`],
			[{ "--run-root": engine.runRoot }, `cannot start on ${engine.runRoot}`],
			[{ "--instance": engine.instance }, `cannot start instance ${engine.instance}`],
		];
		for (const [flags, refusal] of taken) {
			const all = {
				"--instance": settings.instance,
				"--data-root": `${settings.directory}/data`,
				"--run-root": `${settings.directory}/run`,
				"--host": `unix://${settings.directory}/engine.sock`,
				"--dns": settings.dns,
				...flags,
			};
			const refused = Bun.spawnSync([settings.binary, "daemon", ...Object.entries(all).flat()], { timeout: 10_000 });
			equal(refused.exitCode, 1, `exit code with ${JSON.stringify(flags)}`);
			includes(String(refused.stderr), refusal, "error");
		}
	}),
];
