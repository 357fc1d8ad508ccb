import { equal, eventually, includes } from "../../lib/assert.ts";
import { loadImage } from "../../lib/load-image.ts";
import { Place } from "../../lib/place.ts";
import { type Lab, type Scenario, step } from "../../lib/scenario.ts";

const MACHINE = "198.51.100.2";
const SPEAKER = ["sh", "-c", "while :; do echo web | nc -l -p 80 >/dev/null; done"];

/** The engine's host, and a machine on its LAN. */
async function buildPlace(directory: string): Promise<Place> {
	const place = new Place(directory);
	for (const machine of ["host", "lan"]) place.addMachine(machine);
	place.addCable("host:wire0", "198.51.100.1/24", "lan:eth0", `${MACHINE}/24`);
	return place;
}

async function run({ docker }: Lab, name: string, options: string[], command: string[]): Promise<void> {
	await docker("run", "-d", "--init", "--name", name, ...options, "busybox", ...command);
}

async function exec({ docker }: Lab, container: string, ...command: string[]) {
	return docker.run(["exec", container, ...command], { timeoutMs: 20_000 });
}

async function addressOn({ docker }: Lab, container: string, network: string): Promise<string> {
	return docker("inspect", "-f", `{{(index .NetworkSettings.Networks "${network}").IPAddress}}`, container);
}

/** What the machine on the LAN hears at the address, "" when nobody answers. */
function heard({ place }: Lab, address: string): string {
	try {
		const script = `exec 3<>/dev/tcp/${address}/80 && head -n 1 <&3`;
		return place?.run("lan", "timeout", "2", "bash", "-c", script).trim() ?? "";
	} catch {
		return "";
	}
}

async function hearsWeb(lab: Lab, address: string): Promise<string> {
	return eventually("an answer", async () => heard(lab, address) === "web" && "web");
}

export const scenario: Scenario = {
	title: "macvlan: containers on the host's own wire",
	place: buildPlace,
	steps: [
		step("a container is a machine of the LAN, with an address of its own there", async (lab) => {
			await loadImage(lab, "busybox");
			const pool = ["--subnet", "198.51.100.0/24", "--ip-range", "198.51.100.64/26", "--gateway", MACHINE];
			await lab.docker("network", "create", "-d", "macvlan", "-o", "parent=wire0", ...pool, "lan");
			await run(lab, "web", ["--network", "lan", "-p", "8080:80"], SPEAKER);
			await run(lab, "peer", ["--network", "lan"], ["sleep", "100000"]);
			equal(await lab.docker("network", "inspect", "-f", "{{.Driver}}", "lan"), "macvlan", "driver");
			equal(await addressOn(lab, "web", "lan"), "198.51.100.64", "address");
			equal(await hearsWeb(lab, "198.51.100.64"), "web", "from the LAN");
			equal((await exec(lab, "peer", "ping", "-c", "1", "-W", "1", MACHINE)).code, 0, "to the LAN");
			includes((await exec(lab, "peer", "ip", "route")).stdout, `default via ${MACHINE}`, "its gateway");
			equal(await lab.docker("port", "web"), "", "ports need not be published");
		}),
		step("containers know each other there, by name", async (lab) => {
			equal((await exec(lab, "peer", "ping", "-c", "1", "-W", "1", "web")).code, 0, "ping by name");
		}),
		step("what is no parent, and a wire that another has for itself, is refused", async ({ docker }) => {
			const refused = async (reason: string, ...options: string[]) =>
				includes((await docker.run(["network", "create", "-d", "macvlan", ...options, "no"])).stderr, reason, reason);
			await refused("loopback interface is not a valid macvlan parent link", "-o", "parent=lo");
			await refused("invalid subinterface vlan name nope0", "-o", "parent=nope0");
			await refused("requested macvlan mode 'x' is not valid", "-o", "parent=wire0", "-o", "macvlan_mode=x");
			await refused("cannot use mode passthru", "-o", "parent=wire0", "-o", "macvlan_mode=passthru");
			includes(
				(await docker.run(["network", "create", "-d", "ipvlan", "-o", "ipvlan_mode=l4", "no"])).stderr,
				"requested ipvlan mode 'l4' is not valid",
				"ipvlan",
			);
		}),
		step("a running container comes to the wire and leaves it", async (lab) => {
			await run(lab, "inside", [], SPEAKER);
			await lab.docker("network", "connect", "--ip", "198.51.100.77", "lan", "inside");
			equal(await hearsWeb(lab, "198.51.100.77"), "web", "connected");
			await lab.docker("network", "disconnect", "lan", "inside");
			equal(heard(lab, "198.51.100.77"), "", "disconnected");
		}),
		step("no policy can hold there: a container that one is about is kept away", async (lab) => {
			const { engine, docker } = lab;
			const path = `${lab.directory}/policy.json`;
			await Bun.write(path, JSON.stringify({ name: "p", default: { egress: "deny" } }));
			const policy = async (...argv: string[]) =>
				Bun.$`${engine.binary} policy ${argv} --host ${engine.host}`.nothrow().quiet();
			equal((await policy("apply", path)).exitCode, 0, "apply");
			const run = await docker.run([
				"run",
				"--rm",
				"--network",
				"lan",
				"--label",
				"foredeck.policy=p",
				"busybox",
				"true",
			]);
			includes(run.stderr, "cannot be enforced on network lan (driver macvlan)", "run");
			await docker("run", "-d", "--init", "--name", "held", "--label", "foredeck.policy=p", "busybox", "sleep", "1000");
			const connected = await docker.run(["network", "connect", "lan", "held"]);
			includes(connected.stderr, "cannot be enforced on network lan (driver macvlan)", "connect");
			await Bun.write(path, JSON.stringify({ name: "all", select: { networks: ["lan"] } }));
			includes(
				(await policy("apply", path)).stderr.toString(),
				"policy all is about container",
				"apply to those there",
			);
			await docker("rm", "-f", "held");
			equal((await policy("delete", "p")).exitCode, 0, "delete");
		}),
		step("kill -9 of the engine, and a restart of the container: it is there again", async (lab) => {
			await lab.engine.kill();
			equal(await hearsWeb(lab, "198.51.100.64"), "web", "without an engine");
			await lab.engine.start();
			equal(await hearsWeb(lab, "198.51.100.64"), "web", "with the next one");
			await lab.docker("restart", "-t", "1", "web");
			equal(await hearsWeb(lab, await addressOn(lab, "web", "lan")), "web", "restarted");
		}),
		step("the network goes, the host's interface stays", async (lab) => {
			await lab.docker("rm", "-f", "web", "peer", "inside");
			await lab.docker("network", "rm", "lan");
			includes(lab.place?.run("host", "ip", "link", "show", "wire0") ?? "", "state UP", "the parent");
		}),
	],
};
