import { equal, eventually, includes } from "../../lib/assert.ts";
import { lookup } from "../../lib/dns.ts";
import { loadImage } from "../../lib/load-image.ts";
import type { Lab, Scenario } from "../../lib/scenario.ts";
import { step } from "../../lib/scenario.ts";

/** Says its container's name to everyone who connects. */
const speaker = (name: string) => ["sh", "-c", `while :; do echo ${name} | nc -l -p 80 >/dev/null; done`];
const SLEEP = ["sleep", "100000"];

async function exec({ docker }: Lab, container: string, ...command: string[]) {
	return docker.run(["exec", container, ...command], { timeoutMs: 20_000 });
}

async function reaches(lab: Lab, from: string, to: string): Promise<boolean> {
	const { code } = await exec(lab, from, "ping", "-c", "1", "-W", "1", to);
	return code === 0;
}

/** What `nc` hears on the port, "" when nobody answers. */
async function heard(lab: Lab, from: string, to: string, port = "80"): Promise<string> {
	const { stdout } = await exec(lab, from, "sh", "-c", `nc -w 1 ${to} ${port} </dev/null`);
	return stdout.trim();
}

async function addressOn({ docker }: Lab, container: string, network: string): Promise<string> {
	return docker("inspect", "-f", `{{(index .NetworkSettings.Networks "${network}").IPAddress}}`, container);
}

/** Addresses in the answer's order. */
async function resolved(lab: Lab, from: string, name: string): Promise<string[]> {
	const { stdout } = await exec(lab, from, "nslookup", name);
	return [...stdout.matchAll(/^Address(?: \d+)?: (\d+\.\d+\.\d+\.\d+)$/gm)].map((match) => match[1] ?? "");
}

async function interfaces(lab: Lab, container: string): Promise<string[]> {
	const { stdout } = await exec(lab, container, "ls", "/sys/class/net");
	return stdout.split(/\s+/).filter((name) => name.startsWith("eth"));
}

async function route(lab: Lab, container: string): Promise<string | undefined> {
	const { stdout } = await exec(lab, container, "ip", "route");
	return /^default .* dev (\S+)/m.exec(stdout)?.[1];
}

/** What the host hears on one of its own ports. */
async function hostHears(port: number): Promise<string> {
	const { promise, resolve } = Promise.withResolvers<string>();
	const socket = await Bun.connect({
		hostname: "127.0.0.1",
		port,
		socket: { data: (_, bytes) => resolve(bytes.toString().trim()), close: () => resolve("") },
	});
	const timer = setTimeout(resolve, 1000, "");
	const text = await promise;
	clearTimeout(timer);
	socket.terminate();
	return text;
}

async function run({ docker }: Lab, name: string, options: string[], command: string[] = SLEEP): Promise<void> {
	await docker("run", "-d", "--init", "--name", name, ...options, "busybox", ...command);
}

async function apart(lab: Lab): Promise<void> {
	const [app, store] = [await addressOn(lab, "app", "front"), await addressOn(lab, "store", "back")];
	equal(await reaches(lab, "app", store), false, "ping from front to back");
	equal(await reaches(lab, "store", app), false, "ping from back to front");
	equal(await heard(lab, "app", store), "", "TCP from front to back");
	equal(await resolved(lab, "app", "store"), [], "name of back in front");
	equal(await resolved(lab, "store", "app"), [], "name of front in back");
}

async function joined(lab: Lab): Promise<void> {
	equal(await reaches(lab, "app", "gate"), true, "front reaches the one on both");
	equal(await reaches(lab, "store", "gate"), true, "back reaches the one on both");
	equal(await reaches(lab, "gate", "app"), true, "the one on both reaches front");
	equal(await heard(lab, "gate", "store"), "store", "and back, by TCP");
}

const pids: Record<string, string> = {};

export const scenario: Scenario = {
	title: "networks keep apart what should be apart, and join what should be joined, while containers run",
	steps: [
		step("two networks with a container each, and one that is on both", async (lab) => {
			const { docker } = lab;
			await loadImage(lab, "busybox");
			await docker("network", "create", "front");
			await docker("network", "create", "--subnet", "10.213.0.0/24", "--ip-range", "10.213.0.128/25", "back");
			await run(lab, "app", ["--network", "front"], speaker("app"));
			await run(lab, "store", ["--network", "back"], speaker("store"));
			await docker("create", "--init", "--name", "gate", "--network", "front", "busybox", ...SLEEP);
			await docker("network", "connect", "--alias", "door", "back", "gate");
			await docker("start", "gate");
			equal(await interfaces(lab, "gate"), ["eth0", "eth1"], "interfaces of the one on both");
		}),
		step("they are apart in both directions, by address and by name", apart),
		step("the one on both is joined to both; its alias holds on one network", async (lab) => {
			await joined(lab);
			equal(await resolved(lab, "store", "door"), [await addressOn(lab, "gate", "back")], "alias in back");
			equal(await resolved(lab, "app", "door"), [], "alias in front");
			equal(await resolved(lab, "store", "gate.back"), [await addressOn(lab, "gate", "back")], "name with its network");
		}),
		step("containers that share an alias take turns", async (lab) => {
			for (const name of ["w1", "w2"]) await run(lab, name, ["--network", "front", "--network-alias", "workers"]);
			const own = [await addressOn(lab, "w1", "front"), await addressOn(lab, "w2", "front")];
			const answers = [];
			for (let i = 0; i < 4; i++) answers.push(await resolved(lab, "app", "workers"));
			for (const answer of answers) equal(answer.toSorted(), own.toSorted(), "everyone is in the answer");
			equal(new Set(answers.map(([first]) => first)).size, 2, "different ones come first");
		}),
		step("connect and disconnect act on a running container, whose process goes on", async (lab) => {
			const { docker } = lab;
			pids.app = await docker("inspect", "-f", "{{.State.Pid}}", "app");
			await docker("network", "connect", "--alias", "guest", "back", "app");
			equal(await interfaces(lab, "app"), ["eth0", "eth1"], "interfaces");
			const address = await addressOn(lab, "app", "back");
			includes((await exec(lab, "app", "cat", "/etc/hosts")).stdout, `${address}\t`, "own address in /etc/hosts");
			equal(await resolved(lab, "store", "guest"), [address], "its alias");
			equal(await heard(lab, "app", "store"), "store", "what it hears from there");
			equal(await route(lab, "app"), "eth1", "default route: back comes before front");
			const again = await docker.run(["network", "connect", "back", "app"]);
			includes(again.stderr, "endpoint with name app already exists in network back", "a second time");
			await docker("network", "disconnect", "back", "app");
			equal(await interfaces(lab, "app"), ["eth0"], "interfaces after it has left");
			equal(await route(lab, "app"), "eth0", "default route after it has left");
			equal(
				(await exec(lab, "app", "cat", "/etc/hosts")).stdout.includes(address),
				false,
				"address left in /etc/hosts",
			);
			equal(await docker("inspect", "-f", "{{.State.Pid}}", "app"), pids.app, "pid");
			await apart(lab);
			const filter = ["--filter", "type=network", "--filter", "network=back", "--format", "{{.Action}}"];
			const events = await docker("events", "--since", "10m", "--until", "0s", ...filter);
			includes(events, "connect\ndisconnect", "events");
		}),
		step("addresses of the user's choice are given, or refused", async (lab) => {
			await run(lab, "fixed", ["--network", "back", "--ip", "10.213.0.7"]);
			equal(await addressOn(lab, "fixed", "back"), "10.213.0.7", "address");
			const taken = await lab.docker.run(["run", "--rm", "--network", "back", "--ip", "10.213.0.7", "busybox", "true"]);
			equal(taken.code, 125, "exit code for a taken one");
			includes(taken.stderr, "Address already in use", "its reason");
			const auto = await lab.docker.run(["run", "--rm", "--network", "front", "--ip", "10.1.1.1", "busybox", "true"]);
			includes(auto.stderr, "only when connecting to networks with user configured subnets", "no subnet of the user's");
		}),
		step("an internal network leads nowhere", async (lab) => {
			await lab.docker("network", "create", "--internal", "vault");
			await run(lab, "safe", ["--network", "vault", "-p", "28081:80"], speaker("safe"));
			await run(lab, "beside", ["--network", "vault"]);
			equal(await heard(lab, "beside", "safe"), "safe", "inside they talk");
			equal(await route(lab, "safe"), undefined, "default route");
			includes((await exec(lab, "safe", "nslookup", "example.org")).stdout, "SERVFAIL", "a name from outside");
			equal(await lab.docker("port", "safe"), "", "published ports");
			const [inside, outside] = [await addressOn(lab, "safe", "vault"), await addressOn(lab, "app", "front")];
			equal(await reaches(lab, "app", inside), false, "from another network");
			equal(await reaches(lab, "safe", outside), false, "to another network");
		}),
		step("a published port answers on the host and from other networks, also after a restart", async (lab) => {
			await run(lab, "web", ["--network", "front", "-p", "127.0.0.1:28080:80", "-p", "28082:80"], speaker("web"));
			const check = async () => {
				equal(await eventually("an answer", () => hostHears(28080)), "web", "on 127.0.0.1");
				const gateway = await lab.docker("network", "inspect", "-f", "{{(index .IPAM.Config 0).Gateway}}", "front");
				equal(await eventually("an answer", () => heard(lab, "app", gateway, "28082")), "web", "from its own network");
				equal(
					await eventually("an answer", () => heard(lab, "store", gateway, "28082")),
					"web",
					"from another network",
				);
				equal(await heard(lab, "app", gateway, "28080"), "", "published on 127.0.0.1 alone");
			};
			await check();
			await lab.docker("restart", "-t", "1", "web");
			await check();
		}),
		step("a container that shares another one's network has its interfaces and names", async (lab) => {
			await run(lab, "side", ["--network", "container:app"]);
			equal(await interfaces(lab, "side"), ["eth0"], "interfaces");
			equal(await reaches(lab, "side", "gate"), true, "reaches by name");
			const names = [await exec(lab, "side", "hostname"), await exec(lab, "app", "hostname")];
			equal(names[0]?.stdout, names[1]?.stdout, "host names");
			const refused = await lab.docker.run(["network", "connect", "back", "side"]);
			includes(refused.stderr, "container sharing network namespace with another container", "connect");
		}),
		step("kill -9, and a bridge deleted meanwhile: all of it holds again", async (lab) => {
			const { docker, engine } = lab;
			const id = await docker("network", "inspect", "-f", "{{.Id}}", "back");
			await docker("network", "connect", "back", "web");
			await engine.kill();
			await Bun.$`ip link del br-${id.slice(0, 12)}`.quiet();
			await engine.start();
			equal(await docker("inspect", "-f", "{{.State.Pid}}", "app"), pids.app, "pid");
			await joined(lab);
			await apart(lab);
			equal(await heard(lab, "store", "web"), "web", "by a network it came to while it ran");
			equal(await eventually("an answer", () => hostHears(28080)), "web", "published port");
			equal((await lookup(engine.dns, `fixed.${engine.domain}`)).addresses, ["10.213.0.7"], "name on the host");
			await run(lab, "late", ["--network", "back"]);
			equal(await reaches(lab, "late", "store"), true, "a new container there");
		}),
		step("a bridge deleted while the daemon runs is there again, with those that were on it", async (lab) => {
			const id = await lab.docker("network", "inspect", "-f", "{{.Id}}", "back");
			await Bun.$`ip link del br-${id.slice(0, 12)}`.quiet();
			await joined(lab);
			equal(await heard(lab, "store", "web"), "web", "by the bridge");
			equal(await eventually("an answer", () => hostHears(28080)), "web", "published port");
			await apart(lab);
		}),
		step("networks in use are not removed, others are; prune takes what nobody uses", async ({ docker }) => {
			const refused = await docker.run(["network", "rm", "front"]);
			includes(refused.stderr, "network front has active endpoints", "rm of one in use");
			includes((await docker.run(["network", "rm", "bridge"])).stderr, "pre-defined network", "rm of the predefined");
			await docker("network", "create", "--label", "keep", "unused1");
			await docker("network", "create", "unused2");
			includes(await docker("network", "prune", "-f", "--filter", "label!=keep"), "unused2", "pruned");
			await docker("rm", "-f", "safe", "beside");
			await docker("network", "rm", "vault", "unused1");
			const left = await docker("network", "ls", "--filter", "type=custom", "--format", "{{.Name}}");
			equal(left.split("\n").toSorted(), ["back", "front"], "what is left");
		}),
	],
};
