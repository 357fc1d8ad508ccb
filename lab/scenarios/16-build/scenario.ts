import { existsSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { equal, eventually, includes } from "../../lib/assert.ts";
import { context } from "../../lib/build-context.ts";
import { loadImage } from "../../lib/load-image.ts";
import { linkPlugin } from "../../lib/plugins.ts";
import type { Lab, Scenario } from "../../lib/scenario.ts";
import { step } from "../../lib/scenario.ts";
import { STAGES, TODAY } from "./dockerfiles.ts";

/** `docker build` with the classic builder or with buildx, whatever the outcome. */
async function build(lab: Lab, argv: readonly string[], stdin?: Uint8Array, buildKit = "0") {
	if (buildKit === "1") linkPlugin(lab.docker.env.DOCKER_CONFIG ?? "", "buildx");
	const child = Bun.spawn(["docker", "build", ...argv], {
		env: { ...lab.docker.env, DOCKER_BUILDKIT: buildKit },
		stdin: stdin ?? "ignore",
		stdout: "pipe",
		stderr: "pipe",
	});
	const [stdout, stderr] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
	return { code: await child.exited, stdout, stderr };
}

/** Clients that leave the fetching to the engine: docker-py, Compose v1. The CLI fetches by itself. */
async function buildRemote({ engine }: Lab, remote: string): Promise<string> {
	const query = new URLSearchParams({ remote, t: "remote" });
	const reply = await fetch(`http://localhost/v1.51/build?${query}`, {
		method: "POST",
		unix: engine.host.replace("unix://", ""),
	});
	return await reply.text();
}

/** A web server with the directory as a git repository (tag v1), as an archive, and a Dockerfile alone. */
function serveRepository(lab: Lab, root: string) {
	const pages = `${lab.directory}/pages`;
	const script = `mkdir -p ${pages} && cd ${root} && tar -czf ${pages}/context.tar.gz . &&
		git init -q && git add . && git -c user.name=lab -c user.email=lab@lab commit -qm all && git tag v1 && git update-server-info &&
		mv .git ${pages}/repo.git && printf 'FROM busybox\nENV alone=1\n' >${pages}/alone`;
	const { exitCode, stderr } = Bun.spawnSync(["sh", "-ec", script]);
	equal(exitCode, 0, `git: ${stderr}`);
	return Bun.serve({
		hostname: "127.0.0.1",
		port: 0,
		fetch: async ({ url }) => {
			const file = Bun.file(pages + new URL(url).pathname);
			return (await file.exists()) ? new Response(file) : new Response("", { status: 404 });
		},
	});
}

async function built(lab: Lab, ...argv: string[]): Promise<string> {
	const { code, stdout, stderr } = await build(lab, argv);
	equal(code, 0, `docker build ${argv.join(" ")}: ${stdout}${stderr}`);
	return stdout;
}

/** How many steps came from the cache. */
const cached = (output: string) => output.split(" ---> Using cache").length - 1;

/** Contexts of builds under way; copies of directories that BuildKit's clients sync stay for the next build. */
const contexts = ({ engine }: Lab) =>
	readdirSync(`${engine.dataRoot}/builds`).filter((name) => !name.startsWith("kept-"));

const images = async ({ docker }: Lab, ...flags: string[]) =>
	(await docker("images", "-q", ...flags)).split("\n").filter(Boolean).length;

export const scenario: Scenario = {
	title: "images built from Dockerfiles by docker's classic builder",
	steps: [
		step("a Dockerfile of two stages gives an image that runs", async (lab) => {
			await loadImage(lab, "busybox");
			const root = context(lab, "stages", { Dockerfile: STAGES, "src/a.txt": "one\n", "src/b.txt": "two\n" });
			Bun.spawnSync(["tar", "-czf", `${root}/archive.tar.gz`, "-C", root, "src"]);
			const output = await built(lab, "-t", "app:1", "-t", "app:2", "--build-arg", "GREETING=hi", root);
			includes(output, "Step 1/13 : ARG BASE=busybox\nStep 2/13 : FROM $BASE AS build\n", "first lines");
			includes(output, "Successfully tagged app:1\nSuccessfully tagged app:2", "last lines");
			equal(await lab.docker("run", "--rm", "app:1"), "one\ntwo\nhi world", "what it prints");
			const look = "stat -c '%U %n' /app/data /app/data/out; cat /unpacked/src/a.txt /tmp/uid; pwd";
			const seen = await lab.docker("run", "--rm", "app:2", "sh", "-c", look);
			equal(seen, "root /app/data\nnobody /app/data/out\none\n65534\n/app/data", "files and owners");
		}),
		step("history and configuration are docker's", async ({ docker }) => {
			const history = await docker("history", "--no-trunc", "--format", "{{.CreatedBy}}", "app:1");
			includes(history, '/bin/sh -c #(nop)  CMD ["cat" "/app/data/out"]\n/bin/sh -c id -u > /tmp/uid\n', "commands");
			includes(history, "/bin/sh -c #(nop) COPY --chown=nobody:nogroup file:", "copy");
			equal(
				await docker("inspect", "-f", "{{.Config.User}} {{.Config.WorkingDir}}", "app:1"),
				"nobody /app/data",
				"config",
			);
		}),
		step("the same build again is the same image, from the cache", async (lab) => {
			const id = await lab.docker("inspect", "-f", "{{.Id}}", "app:1");
			const again = await built(lab, "-t", "app:1", "--build-arg", "GREETING=hi", `${lab.directory}/stages`);
			equal(cached(again), 10, "steps from the cache");
			equal(await lab.docker("inspect", "-f", "{{.Id}}", "app:1"), id, "image");
		}),
		step("a large context that is as before comes from the cache; a changed one does not", async (lab) => {
			const root = context(lab, "large", {
				Dockerfile: "FROM busybox\nCOPY . /c\nRUN cat /c/f | wc -c > /out\n",
				f: "x".repeat(5 << 20),
			});
			await built(lab, "-t", "large", root);
			equal(cached(await built(lab, "-t", "large", root)), 2, "cached steps");
			writeFileSync(`${root}/g`, "y");
			equal(cached(await built(lab, "-t", "large", root)), 0, "cached steps after a change");
			equal(await lab.docker("run", "--rm", "large", "cat", "/out"), String(5 << 20), "what it made");
			await eventually("its contexts are gone", () => contexts(lab).length === 0);
			await lab.docker("rmi", "large");
			await lab.docker("image", "prune", "-f");
		}),
		step("a changed file, argument or --no-cache runs its step and those after it", async (lab) => {
			const root = `${lab.directory}/stages`;
			const other = await built(lab, "-t", "app:3", "--build-arg", "GREETING=bye", root);
			includes(
				other,
				'Step 6/13 : RUN cat /src/*.txt > /out && echo "$GREETING $WHO" >> /out\n ---> Running in',
				"argument",
			);
			writeFileSync(`${root}/src/a.txt`, "changed\n");
			const changed = await built(lab, "-t", "app:3", "--build-arg", "GREETING=bye", root);
			includes(changed, "Step 4/13 : ENV WHO=world\n ---> Using cache", "before the file");
			equal(/Step 5.*\n ---> Using cache/.test(changed), false, "the file's own step");
			equal(await lab.docker("run", "--rm", "app:3"), "changed\ntwo\nbye world", "what it prints");
			equal(cached(await built(lab, "--no-cache", "-q", root)), 0, "without the cache");
		}),
		step("steps are hidden, and go with their image", async (lab) => {
			const root = context(lab, "gone", { Dockerfile: "FROM busybox\nENV unlike=others\nRUN echo x >/x\nENV a=b\n" });
			const before = await images(lab, "-a");
			await built(lab, "-t", "gone", root);
			equal(await images(lab, "-a"), before + 3, "with steps");
			equal(await images(lab, "--filter", "reference=gone"), 1, "by name");
			await lab.docker("rmi", "gone");
			equal(await images(lab, "-a"), before, "after its removal");
			await built(lab, "-q", root);
			await lab.docker("image", "prune", "-f");
			equal(await lab.docker("images", "-q", "--filter", "dangling=true"), "", "after a prune");
		}),
		step(
			"mounts, here-documents and flags of today's Dockerfiles do what they say, and leave nothing in the image",
			async (lab) => {
				const files = { Dockerfile: TODAY, "src/a.txt": "one\n", "src/b.md": "two\n", "src/deep/c.md": "three\n" };
				const root = context(lab, "today", files);
				includes(await built(lab, "-t", "today", root), "a script\n", "output of a script");
				const look = `cat /bound /count /tooled /said /a /b /etc/conf/C /etc/conf/D && stat -c '%a %u:%g %n' /private/a.txt /private/deep &&
				cd / && find in opt/t scratch var/cache/c dev/pipes kept excluded -type f 2>/dev/null | sort; ls -d /in /opt /scratch /var/cache/c 2>/dev/null`;
				const seen = await lab.docker("run", "--rm", "today", "sh", "-c", `${look}; true`);
				const texts = 'one\nx\ntool\nhello world\nworld\n$WHO\nwho=world "quoted"\nwho=$WHO';
				const places = "600 1:2 /private/a.txt\n700 1:2 /private/deep\nexcluded/b.md\nkept/deep/c.md\nkept/src/a.txt";
				equal(seen, `${texts}\n${places}`, "what is in the image");
				equal(cached(await built(lab, "-t", "today", root)), 18, "the same again: steps from the cache");
			},
		),
		step("a cache outlives its build; a changed file runs what binds it, and what follows", async (lab) => {
			const root = `${lab.directory}/today`;
			writeFileSync(`${root}/src/a.txt`, "changed\n");
			const again = await built(lab, "-t", "today", root);
			includes(again, "log && cp /var/cache/c/log /count\n ---> Using cache", "before it");
			includes(again, "! touch /in/x\n ---> Running in", "what binds it");
			equal(await lab.docker("run", "--rm", "today", "cat", "/bound"), "changed", "what it saw");
			await built(lab, "--no-cache", "-t", "today", root);
			equal(await lab.docker("run", "--rm", "today", "cat", "/count"), "x\nx", "of the cache");
		}),
		step("caches are listed, and pruned when no build uses them", async (lab) => {
			includes(await lab.docker("system", "df", "--format", "{{.Type}} {{.TotalCount}}"), "Build Cache 1", "before");
			includes(
				await lab.docker("builder", "prune", "-af", "--filter", "type=regular"),
				"reclaimed space: 0B",
				"of another type",
			);
			includes(await lab.docker("builder", "prune", "-af"), "reclaimed space: 4B", "what went");
			includes(await lab.docker("system", "df", "--format", "{{.Type}} {{.TotalCount}}"), "Build Cache 0", "after");
		}),
		step("secrets reach commands, and neither the image nor the engine's files", async (lab) => {
			const secret = `secret-${crypto.randomUUID()}`;
			const file = [
				"FROM busybox",
				"RUN --mount=type=secret,id=s stat -c '%a %u' /run/secrets/s > /out && wc -c < /run/secrets/s >> /out",
				"RUN --mount=type=secret,id=s,target=/x/y,mode=0444,uid=5 stat -c '%a %u' /x/y >> /out",
				'RUN --mount=type=secret,id=s,env=S echo "$S" | wc -c >> /out',
				'RUN --mount=type=secret,id=none test ! -e /run/secrets && test ! -e /x && echo "none$S" >> /out',
			].join("\n");
			const root = context(lab, "secrets", { Dockerfile: file, "../secret": secret });
			const { code, stderr } = await build(
				lab,
				["-t", "secrets", "--secret", `id=s,src=${lab.directory}/secret`, root],
				undefined,
				"1",
			);
			equal(code, 0, stderr);
			equal(await lab.docker("run", "--rm", "secrets", "cat", "/out"), "400 0\n43\n444 5\n44\nnone", "what they saw");
			const { dataRoot } = lab.engine;
			const grep = Bun.spawnSync(["grep", "-rl", secret, dataRoot]);
			equal(grep.stdout.toString(), "", "files with the secret");
			equal((await lab.docker("inspect", "secrets")).includes(secret), false, "in the image's configuration");
			const absent = await build(
				lab,
				["--secret", `id=t,src=${root}/Dockerfile`, "-"],
				Buffer.from("FROM busybox\nRUN --mount=type=secret,id=s,required true\n"),
				"1",
			);
			includes(absent.stderr, "secret s: not found", "one that is required and not given");
		}),
		step("stages that the target needs are built, side by side; others are not", async (lab) => {
			const wait = (own: string, other: string) =>
				`RUN --mount=type=cache,id=meet,target=/m touch /m/${own}; for i in $(seq 100); do test -e /m/${other} && exit 0; sleep 0.1; done; exit 1`;
			const file = [
				"FROM busybox AS unused",
				"RUN false",
				"FROM busybox AS a",
				wait("a", "b"),
				"FROM busybox AS b",
				wait("b", "a"),
				"FROM busybox",
				"COPY --from=a /bin/busybox /a",
				"COPY --from=b /bin/busybox /b",
			].join("\n");
			const { code, stderr } = await build(lab, [context(lab, "graph", { Dockerfile: file })], undefined, "1");
			equal(code, 0, stderr);
			const failing = await build(lab, ["--target", "unused", `${lab.directory}/graph`], undefined, "1");
			includes(failing.stderr, "did not complete successfully: exit code: 1", "the one that fails");
		}),
		step("ONBUILD runs in the next build", async (lab) => {
			const base = context(lab, "base", { Dockerfile: "FROM busybox\nONBUILD COPY f /f\nONBUILD RUN cat /f > /g\n" });
			await built(lab, "-t", "base", base);
			const output = await built(
				lab,
				"-t",
				"next",
				context(lab, "next", { Dockerfile: "FROM base\n", f: "trigger\n" }),
			);
			includes(output, "# Executing 2 build triggers", "what it says");
			equal(await lab.docker("run", "--rm", "next", "cat", "/g"), "trigger", "what it made");
		}),
		step("target, labels, a Dockerfile from stdin, a context from stdin", async (lab) => {
			const file = "FROM busybox AS one\nRUN true\nFROM busybox\nRUN false\n";
			const root = context(lab, "target", { Dockerfile: file, "other/File": "FROM busybox\nCOPY other/File /f\n" });
			await built(lab, "-t", "target", "--target", "one", "--label", "a=b c", root);
			equal(await lab.docker("inspect", "-f", '{{index .Config.Labels "a"}}', "target"), "b c", "label");
			await built(lab, "-f", `${root}/other/File`, root);
			equal((await build(lab, ["-q", "-"], Buffer.from("FROM busybox\nENV stdin=1\n"))).code, 0, "Dockerfile");
			const beside = await build(lab, ["-f", "-", root], Buffer.from("FROM busybox\nCOPY other/File /f\n"));
			equal(beside.code, 0, `Dockerfile beside a context: ${beside.stderr}`);
			for (const flag of ["", "z", "j", "J"]) {
				const tar = Bun.spawnSync(["tar", `-c${flag}f`, "-", "-C", root, "other"]).stdout;
				equal((await build(lab, ["-q", "-f", "other/File", "-"], tar)).code, 0, `context -c${flag}`);
			}
		}),
		step("contexts behind URLs: a git repository, its tags and directories; an archive; a Dockerfile", async (lab) => {
			const file = "FROM busybox\nCOPY . /c\nRUN cat /c/f > /out\n";
			const root = context(lab, "remote", { Dockerfile: file, f: "top\n", "sub/Dockerfile": file, "sub/f": "sub\n" });
			await using server = serveRepository(lab, root);
			const url = (rest: string) => `http://127.0.0.1:${server.port}/${rest}`;
			for (const [remote, output] of [
				["repo.git", "top"],
				["repo.git#v1:sub", "sub"],
				["context.tar.gz", "top"],
			] as const) {
				includes(await buildRemote(lab, url(remote)), "Successfully tagged remote:latest", remote);
				equal(await lab.docker("run", "--rm", "remote", "cat", "/out"), output, remote);
			}
			includes(await buildRemote(lab, url("alone")), "Successfully tagged", "a Dockerfile alone");
			includes(
				await buildRemote(lab, url("repo.git#none")),
				"couldn't find remote ref none",
				"a ref that is not there",
			);
			includes(await buildRemote(lab, `file://${root}/.git`), "could not be recognized as URL", "the host's files");
		}),
		step("a command that fails ends the build with its exit code", async (lab) => {
			const root = context(lab, "fails", { Dockerfile: "FROM busybox\nRUN echo said; exit 7\n" });
			const { code, stdout, stderr } = await build(lab, ["--force-rm", root]);
			equal(code, 7, "exit code");
			includes(stdout, "said\n", "its output");
			includes(stderr, "The command '/bin/sh -c echo said; exit 7' returned a non-zero code: 7", "reason");
			equal(await lab.docker("ps", "-aq"), "", "containers left");
		}),
		step("what is wrong is told in docker's words", async (lab) => {
			const refusals: readonly (readonly [string, string])[] = [
				["FROM busybox\nFOO x", "dockerfile parse error on line 2: unknown instruction: FOO"],
				[
					"FROM busybox\nCOPY none /",
					"COPY failed: file not found in build context or excluded by .dockerignore: stat none",
				],
				["FROM busybox\nCOPY ../x /", "forbidden path outside the build context: ../x"],
				["FROM busybox\nRUN --mount=type=cache true", 'invalid mount target ""'],
				["FROM busybox\nRUN --security=insecure true", "--security=insecure is not allowed"],
				["FROM busybox\nRUN <<E\ntrue", "unterminated heredoc"],
				["FROM busybox\nCOPY --chmod=rwx Dockerfile /", "invalid chmod parameter: 'rwx'"],
				["FROM busybox\nRUN --mount=source=none,target=/x true", "none"],
				["FROM busybox\nRUN --mount=type=secret,id=s,required true", "secret s: not found"],
				["FROM busybox\nCOPY --chown=nouser Dockerfile /", "can't find uid for user nouser"],
				["FROM busybox\nCOPY --from=7 /a /b", "invalid from flag value 7"],
			];
			for (const [file, text] of refusals) {
				const { code, stderr } = await build(lab, [context(lab, "wrong", { Dockerfile: file })]);
				equal(code === 0, false, file);
				includes(stderr, text, file);
			}
		}),
		step("a client that leaves ends its build", async (lab) => {
			const root = context(lab, "left", { Dockerfile: "FROM busybox\nRUN sleep 1000\n" });
			const child = Bun.spawn(["docker", "build", root], {
				env: { ...lab.docker.env, DOCKER_BUILDKIT: "0" },
				stdout: "ignore",
				stderr: "ignore",
			});
			await eventually("the step runs", async () => (await lab.docker("ps", "-q")) !== "");
			child.kill("SIGKILL");
			await eventually("its container is gone", async () => (await lab.docker("ps", "-aq")) === "");
			await eventually("its context is gone", () => contexts(lab).length === 0);
		}),
		step("kill -9 of the daemon in the middle of a build: the next one leaves nothing of it", async (lab) => {
			const root = context(lab, "crash", { Dockerfile: "FROM busybox\nRUN sleep 1000\n" });
			const child = build(lab, [root]);
			await eventually("the step runs", async () => (await lab.docker("ps", "-q")) !== "");
			await lab.engine.kill();
			equal((await child).code === 0, false, "the client's exit code");
			await lab.engine.start();
			equal(await lab.docker("ps", "-aq"), "", "containers");
			equal(existsSync(`${lab.engine.dataRoot}/builds`), false, "contexts");
		}),
		step("six builds at once", async (lab) => {
			const made = await Promise.all(
				[1, 2, 3, 4, 5, 6].map(async (i) => {
					const root = context(lab, `many${i}`, {
						Dockerfile: `FROM busybox\nCOPY f /f\nRUN cat /f /f > /g\n`,
						f: `${i}`,
					});
					await built(lab, "-t", `many:${i}`, root);
					return await lab.docker("run", "--rm", `many:${i}`, "cat", "/g");
				}),
			);
			equal(made, ["11", "22", "33", "44", "55", "66"], "what they made");
		}),
		step("a hostile context reads and writes nothing outside of the build", async (lab) => {
			const outside = context(lab, "outside", { secret: "secret\n" });
			const root = context(lab, "hostile", { Dockerfile: "FROM busybox\nCOPY link /x\n", f: "planted\n" });
			symlinkSync(`${outside}/secret`, `${root}/link`);
			symlinkSync(outside, `${root}/directory`);
			for (const source of ["link", "directory/secret", "directory"]) {
				writeFileSync(`${root}/Dockerfile`, `FROM busybox\nCOPY ${source} /x\n`);
				includes((await build(lab, [root])).stderr, "file not found in build context", source);
			}
			for (const source of ["link", "directory/secret", "../outside/secret"]) {
				writeFileSync(`${root}/Dockerfile`, `FROM busybox\nRUN --mount=source=${source},target=/x cat /x\n`);
				includes((await build(lab, [root])).stderr, "not found", `a mount of ${source}`);
			}
			const cached = `RUN --mount=type=cache,id=../../x,target=/up${outside}/made touch /up${outside}/made/f`;
			writeFileSync(
				`${root}/Dockerfile`,
				`FROM busybox\nRUN ln -s ../../../.. /up\n${cached}\nRUN test ! -e /up${outside}\n`,
			);
			equal((await build(lab, [root])).code, 0, "a cache below a link of the image");
			equal(existsSync(`${outside}/made`), false, "a mount's directory made through a link of the image");
			const planting = `FROM busybox\nRUN ln -s ${outside} /host && ln -s ${outside}/secret /file\nCOPY f /host/f\nCOPY f /file\n`;
			writeFileSync(`${root}/Dockerfile`, planting);
			await build(lab, [root]);
			equal(existsSync(`${outside}/f`), false, "planted through a link of the image");
			const tar = Bun.spawnSync([
				"tar",
				"-cf",
				"-",
				"-P",
				"-C",
				root,
				"Dockerfile",
				"--transform=s|^f$|../../escaped|",
				"f",
			]).stdout;
			equal((await build(lab, ["-"], tar)).code === 0, false, "a name with ..");
			equal(readFileSync(`${outside}/secret`, "utf8"), "secret\n", "the host's file");
		}),
	],
};
