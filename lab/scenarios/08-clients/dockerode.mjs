// dockerode as a user of it would write: the engine is found by DOCKER_HOST.
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { PassThrough } from "node:stream";
import { buffer, text } from "node:stream/consumers";
import Docker from "dockerode";
import tar from "tar-stream";

const docker = new Docker();

/** Both streams of a multiplexed one, whole. */
async function demultiplexed(stream) {
	const [stdout, stderr] = [new PassThrough(), new PassThrough()];
	docker.modem.demuxStream(stream, stdout, stderr);
	stream.once("end", () => {
		stdout.end();
		stderr.end();
	});
	return { stdout: await text(stdout), stderr: await text(stderr) };
}

const events = await docker.getEvents({ filters: { container: ["rode"], type: ["container"] } });
const seen = [];
events.on("data", (chunk) => {
	for (const line of chunk.toString().split("\n").filter(Boolean)) seen.push(JSON.parse(line).Action);
});

const [output, container] = await docker.run("busybox", ["sh", "-c", "echo out; exit 4"], new PassThrough(), {
	name: "rode0",
});
assert.equal(output.StatusCode, 4, "exit code of run()");
await container.remove();

const service = await docker.createContainer({
	Image: "busybox",
	name: "rode",
	Cmd: ["sh", "-c", "trap 'exit 0' TERM; echo started; echo warned >&2; sleep 1000 & wait"],
	Labels: { "lab.client": "dockerode" },
	Env: ["COLOUR=red"],
});
await service.start();
assert.equal((await service.inspect()).State.Running, true);
const listed = await docker.listContainers({ filters: { label: ["lab.client=dockerode"] } });
assert.deepEqual(
	listed.map(({ Names }) => Names),
	[["/rode"]],
);

const exec = await service.exec({
	Cmd: ["sh", "-c", "cat; echo $COLOUR >&2; exit 3"],
	AttachStdin: true,
	AttachStdout: true,
	AttachStderr: true,
});
const session = await exec.start({ hijack: true, stdin: true });
session.end("typed");
assert.deepEqual(await demultiplexed(session), { stdout: "typed", stderr: "red\n" });
assert.equal((await exec.inspect()).ExitCode, 3, "exit code of exec");

const pack = tar.pack();
pack.entry({ name: "greeting" }, "hello");
pack.finalize();
await service.putArchive(pack, { path: "/tmp" });
const back = tar.extract();
const got = new Promise((resolve) => {
	back.on("entry", async ({ name }, content, next) => {
		resolve([name, (await buffer(content)).toString()]);
		next();
	});
});
(await service.getArchive({ path: "/tmp/greeting" })).pipe(back);
assert.deepEqual(await got, ["greeting", "hello"]);

const following = await service.logs({ follow: true, stdout: true, stderr: true });
const logs = demultiplexed(following);
const stats = await service.stats({ stream: false });
assert.ok(stats.memory_stats.usage > 0, "memory of stats()");
await service.stop();
assert.deepEqual(await logs, { stdout: "started\n", stderr: "warned\n" });
assert.ok(Buffer.isBuffer(await service.logs({ stdout: true })), "logs without follow are whole");
await service.remove();

await new Promise((resolve) => setTimeout(resolve, 200));
events.destroy();
const order = [
	"create",
	"start",
	"exec_create",
	"exec_start",
	"exec_die",
	"extract-to-dir",
	"archive-path",
	"kill",
	"die",
	"stop",
	"destroy",
];
const own = seen.map((action) => action.split(":")[0]);
assert.deepEqual(
	order.filter((action) => !own.includes(action)),
	[],
	`events: ${own}`,
);

await assert.rejects(docker.getContainer("rode").inspect(), { statusCode: 404, reason: "no such container" });
console.log("dockerode: ok");
