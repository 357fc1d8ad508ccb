import { equal, eventually, includes } from "../../lib/assert.ts";
import { loadImage } from "../../lib/load-image.ts";
import { type Lab, type Scenario, step } from "../../lib/scenario.ts";

/** `TYPE ACTION NAME` of what `docker events` shows up to now. */
async function events({ docker }: Lab, ...argv: string[]): Promise<string[]> {
	const format = "{{.Type}} {{.Action}} {{.Actor.Attributes.name}}";
	// the CLI cuts `0s` to whole seconds
	const now = (Date.now() / 1000).toFixed(3);
	const text = await docker("events", "--since", "1h", "--until", now, "--format", format, ...argv);
	return text === "" ? [] : text.split("\n");
}

const ofContainer = (lab: Lab, name: string) =>
	events(lab, "--filter", "type=container", "--filter", `container=${name}`);

export const scenario: Scenario = {
	title: "events are told as they happen, and afterwards, whatever happened to the daemon; prune takes what it says",
	steps: [
		step("an image loads", async (lab) => await loadImage(lab, "busybox")),
		step("the life of a container, live and replayed", async (lab) => {
			const { docker } = lab;
			const live = docker.start(["events", "--filter", "type=container", "--format", "{{.Action}}"]);
			await Bun.sleep(300);
			await docker("run", "--name", "one", "--label", "tier=front", "busybox", "true");
			await docker("rm", "one");
			await Bun.sleep(200);
			live.kill();
			const actions = ["create", "attach", "start", "die", "destroy"];
			equal((await live.result).stdout.split("\n"), actions, "live");
			const named = actions.map((action) => `container ${action} one`);
			equal(await ofContainer(lab, "one"), named, "replayed");
			equal(
				await events(lab, "--filter", "label=tier=front", "--filter", "event=start"),
				["container start one"],
				"filtered",
			);
		}),
		step("kill -9 of the daemon loses no event, and what ended meanwhile is told", async (lab) => {
			const { docker, engine } = lab;
			await docker("run", "-d", "--name", "two", "busybox", "sleep", "1");
			const before = await events(lab);
			await engine.kill();
			await Bun.sleep(1200);
			await engine.start();
			const ended = async () => (await ofContainer(lab, "two")).includes("container die two");
			await eventually("the end is told", ended);
			equal((await events(lab)).slice(0, before.length), before, "what was told before");
			equal(
				await ofContainer(lab, "one"),
				["create", "attach", "start", "die", "destroy"].map((a) => `container ${a} one`),
				"one",
			);
			await engine.stop();
			await engine.start();
			equal((await events(lab)).slice(0, before.length), before, "after another restart");
		}),
		step("--until ends the stream when its time has come", async ({ docker }) => {
			const begin = performance.now();
			const until = (Date.now() / 1000 + 1).toFixed(3);
			await docker("events", "--until", until);
			const took = performance.now() - begin;
			equal(took > 700 && took < 4000, true, `it ended after ${Math.round(took)} ms`);
		}),
		step("docker container prune: filters, space, what runs stays", async ({ docker }) => {
			await docker("run", "--name", "full", "busybox", "sh", "-c", "head -c 1000000 /dev/zero >/file");
			await docker("run", "--name", "kept", "--label", "keep", "busybox", "true");
			await docker("run", "-d", "--name", "up", "busybox", "sleep", "1000");
			const young = await docker("container", "prune", "-f", "--filter", "until=1h");
			includes(young, "Total reclaimed space: 0B", "nothing is older than an hour");
			includes(
				await docker("container", "prune", "-f", "--filter", "label!=keep"),
				"Total reclaimed space: 1MB",
				"prune",
			);
			equal((await docker("ps", "-a", "--format", "{{.Names}}")).split("\n").sort(), ["kept", "up"], "left");
		}),
		step("docker system prune takes the rest, and says so in an event", async (lab) => {
			await lab.docker("volume", "create", "unused");
			await lab.docker("system", "prune", "-af", "--volumes");
			equal(await lab.docker("ps", "-a", "--format", "{{.Names}}"), "up", "left");
			const told = (await events(lab, "--filter", "event=prune")).map((line) => line.split(" ")[0]);
			equal([...new Set(told)].sort(), ["container", "image", "network", "volume"], "prune events");
		}),
	],
};
