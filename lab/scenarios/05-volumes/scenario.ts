import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { equal, includes } from "../../lib/assert.ts";
import { buildBusyboxImage } from "../../lib/images.ts";
import { loadImage } from "../../lib/load-image.ts";
import { type Lab, type Scenario, step } from "../../lib/scenario.ts";

/** An image with content where it declares a volume: what database images are like. */
async function loadDeclaring({ docker, directory }: Lab): Promise<void> {
	const tar = join(directory, "declares.tar");
	const files = { "/srv/data/from-image": "image\n" };
	await buildBusyboxImage(tar, { tag: "declares:latest", volumes: ["/srv/data"], files });
	await docker("load", "-i", tar);
}

/** Runs a shell command in a new container that is removed. */
function run({ docker }: Lab, options: readonly string[], command: string, image = "busybox"): Promise<string> {
	return docker("run", "--rm", ...options, image, "sh", "-c", command);
}

async function fails({ docker }: Lab, argv: readonly string[], text: string): Promise<void> {
	const { code, stderr } = await docker.run(argv);
	equal(code !== 0, true, `exit code of docker ${argv.join(" ")} (${stderr})`);
	includes(stderr, text, `docker ${argv.join(" ")}`);
}

const anonymous = ({ docker }: Lab) => docker("volume", "ls", "-q", "--filter", "label=com.docker.volume.anonymous");

export const scenario: Scenario = {
	title: "volumes keep their data, whatever happens to containers and the daemon",
	steps: [
		step("images load", async (lab) => {
			await loadImage(lab, "busybox");
			await loadDeclaring(lab);
		}),
		step("a named volume outlives its container and kill -9 of the daemon", async (lab) => {
			await lab.docker("volume", "create", "--label", "kind=test", "keep");
			await run(lab, ["-v", "keep:/data"], "echo written > /data/file");
			await lab.docker("run", "-d", "--name", "holder", "-v", "keep:/data", "busybox", "sleep", "1000");
			await lab.engine.kill();
			await lab.engine.start();
			equal(await run(lab, ["-v", "keep:/data:ro"], "cat /data/file"), "written", "data after the crash");
			equal(await lab.docker("exec", "holder", "cat", "/data/file"), "written", "data in the container that ran on");
			equal(await lab.docker("volume", "inspect", "-f", "{{.Labels.kind}}", "keep"), "test", "label after the crash");
		}),
		step("a volume in use is not removed, by name of who has it, also after the crash", async (lab) => {
			const id = await lab.docker("inspect", "-f", "{{.Id}}", "holder");
			await fails(lab, ["volume", "rm", "keep"], `remove keep: volume is in use - [${id}]`);
			await fails(lab, ["volume", "rm", "-f", "keep"], "volume is in use");
			equal(await lab.docker("ps", "-q", "--no-trunc", "--filter", "volume=keep"), id, "ps --filter volume=NAME");
			equal(await lab.docker("ps", "-q", "--no-trunc", "--filter", "volume=/data"), id, "ps --filter volume=PATH");
			await lab.docker("rm", "-f", "holder");
			await lab.docker("volume", "rm", "keep");
			equal(existsSync(join(lab.engine.dataRoot, "volumes/keep")), false, "the directory");
		}),
		step("an empty volume takes the image's content with its owner and modes, unless told not to", async (lab) => {
			const stat = "stat -c '%U %a' /etc/passwd /tmp /root";
			const own = await run(lab, [], stat);
			equal(await run(lab, ["-v", "copy:/etc", "-v", "tmp:/tmp", "-v", "root:/root"], stat), own, "owners and modes");
			equal(await run(lab, ["-v", "copy:/again"], "cat /again/group"), await run(lab, [], "cat /etc/group"), "content");
			equal(await run(lab, ["-v", "empty:/var:nocopy"], "ls /var"), "", "with nocopy");
			await run(lab, ["-v", "copy:/etc"], "echo mine > /etc/group");
			equal(await run(lab, ["-v", "copy:/etc:ro"], "cat /etc/group"), "mine", "content is copied once");
			await lab.docker("volume", "rm", "copy", "tmp", "root", "empty");
		}),
		step("VOLUME of an image: an anonymous volume that --rm and rm -v take along, and rm does not", async (lab) => {
			equal(await run(lab, [], "cat /srv/data/from-image", "declares"), "image", "content");
			equal(await anonymous(lab), "", "after --rm");
			await lab.docker("run", "--name", "one", "declares", "touch", "/srv/data/mine");
			const name = await lab.docker("inspect", "-f", "{{range .Mounts}}{{.Name}}{{end}}", "one");
			equal(/^[0-9a-f]{64}$/.test(name), true, `its name (${name})`);
			await lab.docker("rm", "one");
			equal(await anonymous(lab), name, "after rm");
			equal(await run(lab, ["-v", `${name}:/d`], "ls /d"), "from-image\nmine", "its content");
			await lab.docker("run", "--name", "two", "declares", "true");
			await lab.docker("rm", "-v", "two");
			equal(await anonymous(lab), name, "after rm -v");
		}),
		step("prune takes anonymous volumes, and named ones with -a alone", async (lab) => {
			await lab.docker("volume", "create", "named");
			await run(lab, ["-v", "named:/d"], "head -c 5000 /dev/zero > /d/file");
			includes(await lab.docker("system", "df", "-v"), "5kB", "size of a volume");
			await lab.docker("volume", "prune", "-f");
			equal(await lab.docker("volume", "ls", "-q"), "named", "after prune");
			includes(await lab.docker("volume", "prune", "-af"), "Total reclaimed space: 5kB", "prune -a");
			equal(await lab.docker("volume", "ls", "-q"), "", "after prune -a");
		}),
		step("a part of a volume is mounted alone, and links cannot lead out of it", async (lab) => {
			await run(
				lab,
				["-v", "parts:/d"],
				"mkdir -p /d/a/b; echo part > /d/a/b/file; ln -s /etc /d/out; ln -s a/b /d/in",
			);
			const mount = (subpath: string) => ["--mount", `type=volume,src=parts,dst=/part,volume-subpath=${subpath}`];
			equal(await run(lab, mount("a/b"), "cat /part/file; ls /part"), "part\nfile", "a directory");
			equal(await run(lab, mount("in/file"), "cat /part"), "part", "a file, by a link inside");
			const base = await lab.docker("volume", "inspect", "-f", "{{.Mountpoint}}", "parts");
			await fails(
				lab,
				["run", "--rm", ...mount("out"), "busybox", "true"],
				"path concatenation escapes the base directory",
			);
			await fails(lab, ["run", "--rm", ...mount("no"), "busybox", "true"], `cannot access path ${base}/no`);
			await fails(lab, ["run", "--rm", ...mount("../x"), "busybox", "true"], "subpath must be a relative path");
			await lab.docker("volume", "rm", "parts");
			equal(readdirSync(join(lab.engine.runRoot, "mounts")), [], "stages left");
		}),
		step(
			"options: a tmpfs volume is mounted while containers run with it, a bind leads to a host directory",
			async (lab) => {
				const ram = ["--opt", "type=tmpfs", "--opt", "device=tmpfs", "--opt", "o=size=1m,uid=7"];
				await lab.docker("volume", "create", ...ram, "ram");
				await lab.docker(
					"run",
					"-d",
					"--name",
					"ram1",
					"-v",
					"ram:/r",
					"busybox",
					"sh",
					"-c",
					"echo x > /r/f; sleep 1000",
				);
				await lab.engine.kill();
				await lab.engine.start();
				equal(await run(lab, ["-v", "ram:/r"], "stat -c %u /r; cat /r/f"), "7\nx", "the same tmpfs, across a crash");
				includes(await run(lab, ["-v", "ram:/r"], "df -k /r | tail -1"), "1024", "its size");
				await lab.docker("rm", "-f", "ram1");
				equal(await run(lab, ["-v", "ram:/r"], "ls /r"), "", "fresh after the last");
				const host = join(lab.directory, "host");
				mkdirSync(host);
				writeFileSync(join(host, "file"), "host\n");
				const bind = ["--opt", "type=none", "--opt", "o=bind", "--opt", `device=${host}`];
				await lab.docker("volume", "create", ...bind, "bound");
				equal(await run(lab, ["-v", "bound:/b"], "cat /b/file"), "host", "bind");
				await lab.docker("volume", "rm", "ram", "bound");
				equal(readdirSync(host), ["file"], "the host's directory after the volume's removal");
				await lab.docker(
					"volume",
					"create",
					"--opt",
					"type=none",
					"--opt",
					"o=bind",
					"--opt",
					"device=/no/such",
					"bad",
				);
				await fails(
					lab,
					["run", "--rm", "-v", "bad:/b", "busybox", "true"],
					"failed to mount local volume: mount /no/such:",
				);
				await fails(lab, ["volume", "create", "--driver", "nope", "x1"], 'plugin "nope" not found');
				await fails(lab, ["volume", "create", "--opt", "size=1m", "x1"], "quota size requested but no quota support");
				await lab.docker("volume", "rm", "bad");
			},
		),
		step("volumes-from, read-only on request", async (lab) => {
			await lab.docker("run", "--name", "source", "-v", "shared:/shared", "declares", "sh", "-c", "echo s > /shared/f");
			equal(await run(lab, ["--volumes-from", "source"], "cat /shared/f /srv/data/from-image"), "s\nimage", "content");
			const denied = await lab.docker.run([
				"run",
				"--rm",
				"--volumes-from",
				"source:ro",
				"busybox",
				"touch",
				"/shared/x",
			]);
			includes(denied.stderr, "Read-only file system", "writing to :ro");
			await lab.docker("rm", "-v", "source");
			await lab.docker("volume", "rm", "shared");
			equal(await anonymous(lab), "", "anonymous volumes left");
		}),
		step("tmpfs, binds and images are mounted as asked", async (lab) => {
			const tmpfs = ["--mount", "type=tmpfs,dst=/t,tmpfs-size=1m,tmpfs-mode=750", "--tmpfs", "/u:exec,size=64k"];
			const lines = await run(lab, tmpfs, "stat -c %a /t; grep -E ' /(t|u) ' /proc/mounts");
			includes(lines, "750", "mode");
			includes(lines, "nosuid,nodev,noexec,relatime,size=1024k", "/t");
			includes(lines, "tmpfs /u tmpfs rw,nosuid,nodev,relatime,size=64k", "/u");
			const host = join(lab.directory, "binds");
			mkdirSync(host);
			// /dev/shm is mounted below /dev on any machine, and before the engine started.
			const file = `/b/shm/foredeck-${process.pid}`;
			const touch = `touch ${file} 2>&1 && rm ${file} && echo written`;
			includes(await run(lab, ["-v", "/dev:/b:ro"], `${touch} || true`), "Read-only", "below a read-only bind");
			const writable = "type=bind,src=/dev,dst=/b,readonly,bind-recursive=writable";
			equal(await run(lab, ["--mount", writable], touch), "written", "bind-recursive=writable");
			await fails(
				lab,
				["run", "--rm", "-v", `${host}:/b`, "-v", "v1:/b", "busybox", "true"],
				"Duplicate mount point: /b",
			);
			const missing = `type=bind,src=${host}/no,dst=/b`;
			await fails(lab, ["run", "--rm", "--mount", missing, "busybox", "true"], "bind source path does not exist");
			const image = ["--mount", "type=image,src=declares,dst=/i,image-subpath=srv"];
			includes(await run(lab, image, "cat /i/data/from-image; touch /i/x 2>&1 || true"), "image", "image mount");
		}),
		step("events tell of every volume", async (lab) => {
			const since = String(Date.now() / 1000);
			await lab.docker("volume", "create", "told");
			await run(lab, ["-v", "told:/d"], "true");
			await lab.docker("volume", "rm", "told");
			const until = String(Date.now() / 1000 + 0.1);
			const format = "{{.Action}} {{.Actor.ID}}";
			const seen = await lab.docker(
				"events",
				"--since",
				since,
				"--until",
				until,
				"--filter",
				"type=volume",
				"--format",
				format,
			);
			equal(seen, "create told\nmount told\nunmount told\ndestroy told", "events");
		}),
	],
};
