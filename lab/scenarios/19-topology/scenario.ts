import { equal, eventually, includes } from "../../lib/assert.ts";
import { loadImage } from "../../lib/load-image.ts";
import { Place } from "../../lib/place.ts";
import type { Lab, Scenario } from "../../lib/scenario.ts";
import { step } from "../../lib/scenario.ts";

const SLEEP = ["sleep", "100000"];

/** The engine's host is a namespace of the scenario's own, in which something can be left lying around. */
async function build(directory: string): Promise<Place> {
	const place = new Place(directory);
	place.addMachine("host");
	return place;
}

async function foredeck({ engine }: Lab, ...argv: string[]): Promise<{ code: number; text: string }> {
	const command = [engine.binary, "network", ...argv, "--host", engine.host];
	const child = Bun.spawn(command, { stdin: "ignore", stdout: "pipe", stderr: "pipe" });
	const [out, error] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
	return { code: await child.exited, text: `${out}${error}` };
}

async function fails(lab: Lab, words: string, ...argv: string[]): Promise<void> {
	const { code, text } = await foredeck(lab, "check", ...argv);
	includes(text, words, argv.join(" "));
	equal(code, 1, `exit code of check ${argv.join(" ")}`);
}

export const scenario: Scenario = {
	title: "the topology is shown, connections are tried from inside, and what nobody owns is found",
	place: build,
	steps: [
		step("containers on networks of several kinds", async (lab) => {
			const { docker } = lab;
			await loadImage(lab, "busybox");
			await docker("network", "create", "front");
			await docker("network", "create", "--internal", "back");
			const listen = (where: string) => ["httpd", "-f", "-p", where];
			await docker(
				"run",
				"-d",
				"--init",
				"--name",
				"web",
				"--network",
				"front",
				"-p",
				"8080:80",
				"busybox",
				...listen("80"),
			);
			await docker("run", "-d", "--init", "--name", "db", "--network", "back", "busybox", ...listen("5432"));
			await docker("run", "-d", "--init", "--name", "shy", "--network", "front", "busybox", ...listen("127.0.0.1:80"));
			await docker("run", "-d", "--init", "--name", "gate", "--network", "front", "busybox", ...SLEEP);
			await docker("network", "connect", "back", "gate");
			await docker("run", "-d", "--init", "--name", "guest", "--network", "outbound", "busybox", ...SLEEP);
		}),
		step("the topology as text, JSON, dot and SVG", async (lab) => {
			const { text } = await foredeck(lab, "topology");
			for (const part of ["network front (bridge)", "0.0.0.0:8080->80/tcp", "internal", "outwards only"])
				includes(text, part, "text");
			const topology = JSON.parse((await foredeck(lab, "topology", "--format", "json")).text);
			const pairs = topology.reach.map(({ from, to, how }: Record<string, string>) => `${from} ${to} ${how}`);
			for (const pair of ["gate web all", "gate db all", "guest (internet) internet"]) {
				equal(pairs.includes(pair), true, `${pair} in ${JSON.stringify(pairs)}`);
			}
			for (const pair of ["web db all", "db (internet) all", "guest web ports"])
				equal(pairs.includes(pair), false, pair);
			includes((await foredeck(lab, "topology", "--format", "dot")).text, 'label="front', "dot");
			includes((await foredeck(lab, "topology", "--format", "svg")).text, "</svg>", "svg");
		}),
		step("a check that works says over which network, and in how much time", async (lab) => {
			const { code, text } = await foredeck(lab, "check", "gate", "db", "--port", "5432");
			includes(text, "gate reaches db:5432 over back", "verdict");
			for (const part of ["answers ARP as", "1500 bytes", "db is "]) includes(text, part, "steps");
			equal(code, 0, "exit code");
			equal((await foredeck(lab, "check", "gate", "web")).code, 0, "ping alone");
			const json = JSON.parse((await foredeck(lab, "check", "gate", "web", "--port", "80", "--json")).text);
			equal([json.ok, json.from, json.to], [true, "gate", "web"], "as JSON");
		}),
		step("a check that fails says where", async (lab) => {
			await fails(lab, "no common network: web is on front, db on back", "web", "db", "--port", "5432");
			await fails(lab, "web is not listening on TCP port 81", "gate", "web", "--port", "81");
			await fails(lab, "at 127.0.0.1 only", "gate", "shy", "--port", "80");
			await fails(lab, "No such container: nosuch", "gate", "nosuch");
			await fails(lab, "internal networks only", "db", "203.0.113.1");
			await lab.docker("stop", "-t", "0", "shy");
			await fails(lab, "shy is not running: exited", "gate", "shy");
		}),
		step("the engine answers while a check waits for silence", async (lab) => {
			const slow = foredeck(lab, "check", "web", "db", "--port", "5432");
			await Bun.sleep(300);
			const begin = performance.now();
			await lab.docker("version");
			equal(performance.now() - begin < 1500, true, "docker version is quick meanwhile");
			equal((await slow).code, 1, "the check fails");
		}),
		step(
			"the status: no leak; what is left lying around is found; a bridge that is down comes up again",
			async (lab) => {
				const clean = await foredeck(lab, "status");
				includes(clean.text, "no leaks", "status");
				equal(clean.code, 0, "exit code");
				equal(clean.text.includes("NOT ACTIVE"), false, "ports, those of IPv6 too, are active");
				const { place, engine } = lab;
				place?.run("host", "ip", "link", "add", "name", "stray", "type", "bridge");
				place?.run("host", "ip", "link", "set", "stray", "alias", `foredeck ${engine.instance}`);
				const found = await foredeck(lab, "status");
				includes(found.text, "interface  stray", "leak");
				equal(found.code, 1, "exit code with a leak");
				place?.run("host", "ip", "link", "delete", "stray");
				const bridge = JSON.parse((await foredeck(lab, "topology", "--format=json")).text).networks.find(
					({ name }: { name: string }) => name === "front",
				).bridge;
				place?.run("host", "ip", "link", "set", bridge, "down");
				// The engine sees to it.
				await eventually("reachable again", async () => (await foredeck(lab, "check", "gate", "web")).code === 0);
			},
		),
	],
};
