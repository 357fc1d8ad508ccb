import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { equal, eventually, includes } from "../../lib/assert.ts";
import { context } from "../../lib/build-context.ts";
import { createCompose } from "../../lib/compose.ts";
import { loadImage } from "../../lib/load-image.ts";
import { linkPlugin } from "../../lib/plugins.ts";
import { startRegistry } from "../../lib/registry.ts";
import type { Lab, Scenario } from "../../lib/scenario.ts";
import { step } from "../../lib/scenario.ts";

const STAGES = `FROM busybox AS build
WORKDIR /src
COPY src/ ./
RUN cat *.txt > /out

FROM busybox AS unneeded
RUN false

FROM busybox
ENV WHO=world
COPY --from=build --chown=1:2 /out /app/out
RUN echo "hello $WHO" >> /app/out
CMD ["cat", "/app/out"]
`;

const SESSION = `FROM busybox
RUN --mount=type=secret,id=token,required test "$(wc -c < /run/secrets/token)" = 6
RUN --mount=type=ssh,required test -S "$SSH_AUTH_SOCK"
COPY --from=beside f /beside
RUN --mount=from=beside,target=/m cat /m/f > /mounted
COPY --from=img /bin/busybox /bb
`;

const BAKE = `group "default" { targets = ["top"] }
target "base" { 
	dockerfile-inline = "FROM busybox\\nRUN echo base > /base"
}
target "top" {
	dockerfile-inline = "FROM under\\nRUN cat /base /base > /top"
	contexts = { under = "target:base" }
	tags = ["baked"]
}
`;

function start(lab: Lab, argv: readonly string[], more: { stdin?: Uint8Array; env?: Record<string, string> } = {}) {
	const env = { ...lab.docker.env, HOME: lab.directory, ...more.env };
	return Bun.spawn(["docker", ...argv], { env, stdin: more.stdin ?? "ignore", stdout: "pipe", stderr: "pipe" });
}

/** A docker command with the plugin, whatever its outcome; what it said, progress too. */
async function run(lab: Lab, argv: readonly string[], more: Parameters<typeof start>[2] = {}) {
	const child = start(lab, argv, more);
	const [stdout, stderr] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
	return { code: await child.exited, text: stdout + stderr };
}

async function built(lab: Lab, argv: readonly string[], more: Parameters<typeof start>[2] = {}): Promise<string> {
	const { code, text } = await run(lab, ["build", "--progress", "plain", ...argv], more);
	equal(code, 0, `docker build ${argv.join(" ")}: ${text}`);
	return text;
}

/** Names of the steps, without the numbers by which the client tells them apart. */
function steps(output: string): string[] {
	return [...output.matchAll(/^#\d+ (\[.*|exporting to .*)$/gm)].map(([, name]) => name ?? "");
}

const cached = (output: string) => output.split("CACHED").length - 1;

/** Bytes of the context that came, of the last figure that the client showed. */
function sent(output: string): number {
	const [, size, unit = ""] = [...output.matchAll(/transferring context: ([\d.]+)(k|M)?B/g)].at(-1) ?? [];
	return Number(size) * ({ "": 1, k: 1e3, M: 1e6 }[unit] ?? 0);
}

const LOGIN = { user: "lab", password: "open sesame" };

/** A registry with TLS and a login, on an address that is not loopback, whose authority the engine trusts. */
async function privateRegistry(lab: Lab) {
	const gateway = await lab.docker("network", "inspect", "-f", "{{(index .IPAM.Config 0).Gateway}}", "bridge");
	const registry = await startRegistry(`${lab.directory}/registry`, gateway, LOGIN);
	const folder = `${lab.directory}/certs.d/${registry.name}`;
	mkdirSync(folder, { recursive: true });
	writeFileSync(`${folder}/ca.crt`, registry.authority);
	return registry;
}

/** Of Debian 12's package docker.io; other machines have none. */
const OLD_CLI = "/usr/bin/docker";
const oldVersion = existsSync(OLD_CLI) ? Bun.spawnSync([OLD_CLI, "--version"]).stdout.toString() : "";
const lacksOldCli = /version (19|20)\./.test(oldVersion) ? undefined : "no docker CLI before 23.0 in /usr/bin";

/** What that CLI says of a build, whatever its outcome. */
async function oldBuild(lab: Lab, argv: readonly string[], stdin: Uint8Array | "ignore" = "ignore") {
	const env = { ...lab.docker.env, HOME: lab.directory };
	const child = Bun.spawn([OLD_CLI, "build", ...argv], { env, stdin, stdout: "pipe", stderr: "pipe" });
	const [stdout, stderr] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
	return { code: await child.exited, stdout, stderr };
}

export const scenario: Scenario = {
	title: "docker build with buildx, on the engine's own builder",
	flags: (directory) => ["--registry-certs", `${directory}/certs.d`],
	steps: [
		step("two stages of three are built, shown as BuildKit shows them", async (lab) => {
			linkPlugin(lab.docker.env.DOCKER_CONFIG ?? "", "buildx");
			await loadImage(lab, "busybox");
			const files = { Dockerfile: STAGES, "src/a.txt": "one\n", "src/b.txt": "two\n", "other/c": "not needed" };
			const root = context(lab, "stages", files);
			const output = await built(lab, ["-t", "app:1", "-t", "app:2", root]);
			equal(
				steps(output)
					.filter((name) => !name.startsWith("[internal]"))
					.sort(),
				[
					"[build 1/4] FROM docker.io/library/busybox:latest",
					"[build 2/4] WORKDIR /src",
					"[build 3/4] COPY src/ ./",
					"[build 4/4] RUN cat *.txt > /out",
					"[stage-2 1/3] FROM docker.io/library/busybox:latest",
					"[stage-2 2/3] COPY --from=build --chown=1:2 /out /app/out",
					'[stage-2 3/3] RUN echo "hello $WHO" >> /app/out',
					"exporting to image",
				].sort(),
				"steps",
			);
			includes(output, "naming to docker.io/library/app:2 done", "names");
			equal(await lab.docker("run", "--rm", "app:1"), "one\ntwo\nhello world", "what it prints");
			equal(await lab.docker("run", "--rm", "app:2", "stat", "-c", "%u:%g", "/app/out"), "1:2", "owner");
		}),
		step("history, image id and metadata are docker's", async (lab) => {
			const root = `${lab.directory}/stages`;
			const history = await lab.docker("history", "--no-trunc", "--format", "{{.CreatedBy}}|{{.Comment}}", "app:1");
			const lines = history.split("\n").slice(0, 3);
			equal(
				lines,
				[
					'CMD ["cat" "/app/out"]|buildkit.dockerfile.v0',
					'RUN /bin/sh -c echo "hello $WHO" >> /app/out # buildkit|buildkit.dockerfile.v0',
					"COPY --chown=1:2 /out /app/out # buildkit|buildkit.dockerfile.v0",
				],
				"history",
			);
			const [idFile, metadata] = [`${lab.directory}/id`, `${lab.directory}/metadata`];
			const again = await built(lab, ["--iidfile", idFile, "--metadata-file", metadata, "-t", "app:1", root]);
			equal(cached(again), 7, "steps from the cache");
			const id = await lab.docker("inspect", "-f", "{{.Id}}", "app:1");
			equal(readFileSync(idFile, "utf8"), id, "id file");
			const told = JSON.parse(readFileSync(metadata, "utf8")) as Record<string, string>;
			equal([told["containerimage.config.digest"], told["image.name"]], [id, "app:1"], "metadata");
			equal((await run(lab, ["build", "-q", root])).text.trim(), id, "quiet");
		}),
		step("of a context only what is copied and has changed is sent; ignore files count", async (lab) => {
			const large = "x".repeat(5 << 20);
			const root = context(lab, "large", {
				Dockerfile: "FROM busybox\nCOPY a b /c/\nCOPY d /d\nRUN cat /c/b > /out; find /c /d -type f | sort >> /out\n",
				".dockerignore": "d/*\n!d/kept\n# comment\n",
				...{ a: large, b: "1\n", "d/kept": "", "d/ignored": "", unused: large },
			});
			const [first, second] = [await built(lab, ["-t", "large", root]), await built(lab, ["-t", "large", root])];
			equal(sent(first) > 5e6 && sent(first) < 6e6, true, `first: ${sent(first)}`);
			equal([sent(second) < 1000, cached(second)], [true, 4], `second: ${second}`);
			writeFileSync(`${root}/b`, "2\n");
			const third = await built(lab, ["-t", "large", root]);
			equal([sent(third) < 1000, cached(third)], [true, 1], `third: ${third}`);
			equal(await lab.docker("run", "--rm", "large", "cat", "/out"), "2\n/c/a\n/c/b\n/d/kept", "what it made");
		}),
		step("secrets, the ssh agent and named contexts of the client", async (lab) => {
			const root = context(lab, "session", { Dockerfile: SESSION, "../beside/f": "beside\n", "../token": "hidden" });
			const socket = `${lab.directory}/agent.sock`;
			using _agent = Bun.listen({ unix: socket, socket: { data: () => {} } });
			const given = ["--secret", `id=token,src=${lab.directory}/token`, "--ssh", `default=${socket}`];
			const contexts = [
				"--build-context",
				`beside=${lab.directory}/beside`,
				"--build-context",
				"img=docker-image://busybox",
			];
			await built(lab, ["-t", "session", ...given, ...contexts, root]);
			const look =
				"cat /beside /mounted; ls -a /run /run/secrets 2>/dev/null | grep -E 'token|agent'; test -x /bb && echo bb";
			equal(await lab.docker("run", "--rm", "session", "sh", "-c", look), "beside\nbeside\nbb", "what is in the image");
			const saved = await lab.docker("history", "--no-trunc", "session");
			equal(saved.includes("hidden"), false, "the secret in the history");
			const without = await run(lab, ["build", ...given.slice(2), ...contexts, "--no-cache", root]);
			includes(without.text, "token: not found", "without the secret");
		}),
		step("flags do what they say", async (lab) => {
			const file = `FROM busybox AS one
ARG A=none
RUN echo "$A $(grep -c 1.2.3.4 /etc/hosts) $(ulimit -n) $(df -k /dev/shm | awk 'END{print $2}') $(ls /sys/class/net)" > /seen
FROM one AS two
RUN echo two > /two
`;
			const root = context(lab, "flags", { Dockerfile: file });
			const flags = ["--add-host", "x:1.2.3.4", "--ulimit", "nofile=77:88", "--shm-size", "3m", "--network", "none"];
			await built(lab, ["-t", "flags", "--target", "one", "--build-arg", "A=arg", "--label", "l=a b", ...flags, root]);
			equal(await lab.docker("run", "--rm", "flags", "cat", "/seen"), "arg 1 77 3072 lo", "seen by the command");
			equal(await lab.docker("inspect", "-f", '{{index .Config.Labels "l"}}', "flags"), "a b", "label");
			await built(lab, [root]);
			equal(cached(await built(lab, ["--no-cache-filter", "two", root])), 2, "without the cache of one stage");
			equal(cached(await built(lab, ["--no-cache", root])), 1, "without the cache, but for the image");
		}),
		step("a Dockerfile or a context from stdin; outputs to the client", async (lab) => {
			const root = context(lab, "stdin", { Dockerfile: "FROM busybox\nCOPY f /g\n", f: "content\n" });
			await built(lab, ["-"], { stdin: Buffer.from("FROM busybox\nRUN true\n") });
			await built(lab, ["-f", "-", root], { stdin: Buffer.from("FROM busybox\nCOPY f /h\n") });
			for (const flag of ["", "z"]) {
				const tar = Bun.spawnSync(["tar", `-c${flag}f`, "-", "-C", root, "."]).stdout;
				await built(lab, ["-t", `stdin${flag}`, "-"], { stdin: tar });
				equal(await lab.docker("run", "--rm", `stdin${flag}`, "cat", "/g"), "content", `context -c${flag}`);
			}
			const [directory, tar] = [`${lab.directory}/exported`, `${lab.directory}/exported.tar`];
			await built(lab, ["-o", directory, root]);
			equal(readFileSync(`${directory}/g`, "utf8"), "content\n", "directory");
			equal(
				[existsSync(`${directory}/bin/busybox`), existsSync(`${directory}/.dockerenv`)],
				[true, false],
				"its files",
			);
			await built(lab, ["-o", `type=tar,dest=${tar}`, root]);
			equal(Bun.spawnSync(["tar", "-xOf", tar, "g"]).stdout.toString(), "content\n", "tar");
		}),
		step("--push, and a base image, by the login of the client", async (lab) => {
			const registry = await privateRegistry(lab);
			try {
				const [name, login] = [
					`${registry.name}/lab/pushed:1`,
					["login", "-u", LOGIN.user, "--password-stdin", registry.name],
				];
				const root = context(lab, "pushed", { Dockerfile: "FROM busybox\nRUN echo pushed > /p\n" });
				const refused = await run(lab, ["build", "--push", "-t", name, root]);
				equal(refused.code, 1, "without a login");
				equal((await lab.docker.run(login, { stdin: LOGIN.password })).code, 0, "login");
				await built(lab, ["--push", "-t", name, root]);
				await lab.docker("rmi", name);
				await lab.docker("image", "prune", "-f");
				const next = context(lab, "pulled", { Dockerfile: `FROM ${name}\nRUN cat /p /p > /q\n` });
				await built(lab, ["-t", "pulled", next]);
				equal(await lab.docker("run", "--rm", "pulled", "cat", "/q"), "pushed\npushed", "what it made");
				await lab.docker("logout", registry.name);
				const gone = await run(lab, ["build", "--pull", next]);
				equal(gone.code, 1, `without the login: ${gone.text}`);
			} finally {
				await registry.stop();
			}
		}),
		step("builds of the past are known by docker buildx history", async (lab) => {
			const root = context(lab, "past", { Dockerfile: "FROM busybox\nRUN echo $((40 + 2)) of the past\n" });
			await built(lab, [root]);
			const { text: list } = await run(lab, ["buildx", "history", "ls"]);
			const [, ref = ""] = /^(\w{25})\s+past\b.*Completed/m.exec(list) ?? [];
			includes((await run(lab, ["buildx", "history", "logs", ref])).text, "42 of the past", list);
			equal((await run(lab, ["buildx", "history", "rm", ref])).code, 0, "rm");
			equal((await run(lab, ["buildx", "history", "ls"])).text.includes(ref), false, "after its removal");
		}),
		step("bake: targets that stand on each other", async (lab) => {
			const root = context(lab, "bake", { "docker-bake.hcl": BAKE });
			const { code, text } = await run(lab, ["buildx", "bake", "--progress", "plain", "-f", `${root}/docker-bake.hcl`]);
			equal(code, 0, text);
			equal(await lab.docker("run", "--rm", "baked", "cat", "/top"), "base\nbase", "what it made");
		}),
		step("compose build, and up --build", async (lab) => {
			const yaml = "services:\n  web:\n    build: .\n    init: true\n";
			const stack = context(lab, "composed", {
				"compose.yaml": yaml,
				Dockerfile: 'FROM busybox\nCOPY f /f\nCMD ["sh", "-c", "cat /f; sleep 1000"]\n',
				f: "one\n",
			});
			const compose = createCompose(lab, { stack, project: "built" });
			await compose("build");
			await compose("up", "-d");
			writeFileSync(`${stack}/f`, "two\n");
			await compose("up", "-d", "--build");
			await eventually("the new image runs", async () =>
				(await compose("logs", "--no-log-prefix", "web")).includes("two"),
			);
			await compose("down", "-t", "0");
		}),
		step("what fails is shown with its lines of the Dockerfile; what is not there is refused by name", async (lab) => {
			const refusals: readonly (readonly [string, string, ...string[]])[] = [
				["FROM busybox\nRUN echo said \\\n && exit 7", "2 | >>> RUN echo said \\\n   3 | >>>  && exit 7"],
				["FROM busybox\nRUN exit 7", 'process "/bin/sh -c exit 7" did not complete successfully: exit code: 7'],
				["FROM busybox\nFOO x", "2 | >>> FOO x"],
				["FROM busybox\nCOPY none /", '"/none": not found'],
				["FROM busybox\nRUN --mount=type=ssh,required true", "unset ssh forward key default"],
				["# syntax=someone/else:1\nFROM busybox", "frontend image someone/else:1 is not supported"],
				["FROM busybox", "frontend.lint is not supported", "--check"],
				["FROM busybox", "cache export of type inline is not supported", "--cache-to", "type=inline"],
				["FROM busybox", "Multi-platform build is not supported", "--platform", "linux/amd64,linux/arm64"],
				["FROM busybox", "security.insecure is not allowed", "--allow", "security.insecure"],
				["FROM busybox", 'target stage "x" could not be found', "--target", "x"],
			];
			for (const [file, text, ...flags] of refusals) {
				const root = context(lab, "wrong", { Dockerfile: `${file}\n` });
				const { code, text: said } = await run(lab, ["build", "--progress", "plain", ...flags, root]);
				equal(code, 1, file);
				includes(said, text, file);
			}
			equal(await lab.docker("ps", "-aq"), "", "containers left");
		}),
		step("a build that is interrupted, or whose client dies, takes its container along", async (lab) => {
			for (const signal of ["SIGINT", "SIGKILL"] as const) {
				const root = context(lab, "left", { Dockerfile: `FROM busybox\nRUN sleep 1000 # ${signal}\n` });
				// Killed, docker would leave its plugin behind.
				const argv =
					signal === "SIGINT"
						? ["docker", "build", root]
						: [`${lab.docker.env.DOCKER_CONFIG}/cli-plugins/docker-buildx`, "build", root];
				const env = { ...lab.docker.env, HOME: lab.directory };
				const child = Bun.spawn(argv, { env, stdout: "ignore", stderr: "ignore" });
				await eventually("the step runs", async () => (await lab.docker("ps", "-q")) !== "");
				child.kill(signal);
				await eventually("its container is gone", async () => (await lab.docker("ps", "-aq")) === "");
				await child.exited;
			}
			await eventually("its files are gone", () =>
				readdirSync(`${lab.engine.dataRoot}/builds`).every((name) => name.startsWith("kept-")),
			);
		}),
		step("six builds of one directory at once", async (lab) => {
			const root = context(lab, "many", {
				Dockerfile: "FROM busybox\nARG N\nCOPY f /f\nRUN cat /f > /g && echo $N >> /g\n",
				f: "f\n",
			});
			const made = await Promise.all(
				[1, 2, 3, 4, 5, 6].map(async (n) => {
					await built(lab, ["-t", `many:${n}`, "--build-arg", `N=${n}`, root]);
					return await lab.docker("run", "--rm", `many:${n}`, "cat", "/g");
				}),
			);
			equal(made, ["f\n1", "f\n2", "f\n3", "f\n4", "f\n5", "f\n6"], "what they made");
		}),
		step("without the plugin, and with DOCKER_BUILDKIT=0, builds are classic ones", async (lab) => {
			const root = context(lab, "classic", { Dockerfile: "FROM busybox\nRUN true\n" });
			const { code, text } = await run(lab, ["build", root], { env: { DOCKER_BUILDKIT: "0" } });
			equal(code, 0, text);
			includes(text, "Step 2/2 : RUN true", "classic output");
		}),
		step(
			"docker CLIs before 23.0 have BuildKit without the plugin",
			async (lab) => {
				const files = {
					Dockerfile: "FROM busybox\nCOPY f /f\nRUN --mount=type=secret,id=s cat /run/secrets/s >> /f\n",
					f: "file\n",
					s: "secret\n",
				};
				const root = context(lab, "old", files);
				const secret = ["--secret", `id=s,src=${root}/s`];
				const made = await oldBuild(lab, ["--progress", "plain", "-t", "old:1", ...secret, root]);
				equal(made.code, 0, made.stderr);
				includes(made.stderr, "naming to docker.io/library/old:1", "progress");
				equal(await lab.docker("run", "--rm", "old:1", "cat", "/f"), "file\nsecret", "what was built");
				const quiet = await oldBuild(lab, ["-q", ...secret, root]);
				equal(quiet.stdout.trim(), await lab.docker("image", "inspect", "-f", "{{.Id}}", "old:1"), "-q");
				const tar = Bun.spawnSync(["tar", "-C", root, "-c", "Dockerfile", "f"]).stdout;
				const piped = await oldBuild(lab, ["--build-arg", "BUILDKIT_INLINE_CACHE=1", "-"], tar);
				includes(piped.stderr, "cache export of type inline is not supported", "a refusal");
				const uploaded = await oldBuild(lab, ["-t", "old:2", "-"], tar);
				includes(uploaded.stderr, "naming to docker.io/library/old:2", "a context from stdin, all of it cached");
				const failed = await oldBuild(lab, ["-"], Buffer.from("FROM busybox\nRUN exit 3\n"));
				includes(failed.stderr, "did not complete successfully: exit code: 3", "a step that fails");
			},
			lacksOldCli,
		),
	],
};
