// testcontainers as a test suite would use it, without its reaper (that is an image of its own).
import assert from "node:assert/strict";
import { text } from "node:stream/consumers";
import { GenericContainer, getContainerRuntimeClient, Wait } from "testcontainers";

const runtime = await getContainerRuntimeClient();
const seen = [];
const events = await runtime.container.dockerode.getEvents({
	filters: { type: ["container"], label: ["lab.client=testcontainers"] },
});
events.on("data", (chunk) => {
	for (const line of chunk.toString().split("\n").filter(Boolean)) seen.push(JSON.parse(line).Action);
});

const lines = [];
const web = await new GenericContainer("hello")
	.withExposedPorts(80)
	.withLabels({ "lab.client": "testcontainers" })
	.withEnvironment({ COLOUR: "blue" })
	.withCopyContentToContainer([{ content: "copied before the start", target: "/var/www/copied" }])
	.withCommand(["sh", "-c", "echo listening; exec httpd -f -p 80 -h /var/www"])
	.withLogConsumer((stream) => stream.on("data", (line) => lines.push(line.trim())))
	.withWaitStrategy(
		Wait.forAll([Wait.forLogMessage("listening"), Wait.forListeningPorts(), Wait.forHttp("/copied", 80)]),
	)
	.start();

const address = `http://${web.getHost()}:${web.getMappedPort(80)}`;
assert.equal(await (await fetch(`${address}/copied`)).text(), "copied before the start");

const { output, exitCode } = await web.exec(["sh", "-c", "echo $COLOUR; exit 5"]);
assert.deepEqual([output.trim(), exitCode], ["blue", 5]);

await web.copyContentToContainer([{ content: "copied later", target: "/var/www/later" }]);
assert.equal(await (await fetch(`${address}/later`)).text(), "copied later");
const archive = await text(await web.copyArchiveFromContainer("/var/www/later"));
assert.ok(archive.includes("copied later"), "the tar has the file");
assert.ok(lines.includes("listening"), `log lines: ${lines}`);

await web.restart();
assert.equal(await (await fetch(`http://${web.getHost()}:${web.getMappedPort(80)}/later`)).text(), "copied later");
await web.stop();

await new Promise((resolve) => setTimeout(resolve, 200));
events.destroy();
const own = seen.map((action) => action.split(":")[0]);
assert.deepEqual(
	["create", "start", "exec_create", "restart", "die", "destroy"].filter((action) => !own.includes(action)),
	[],
	`events: ${own}`,
);
console.log("testcontainers: ok");
process.exit(0);
