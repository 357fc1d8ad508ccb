import { join } from "node:path";
import { equal, eventually, includes } from "../../lib/assert.ts";
import { loadImage } from "../../lib/load-image.ts";
import { Place } from "../../lib/place.ts";
import { type Lab, type Scenario, step } from "../../lib/scenario.ts";

const HOST = "2001:db8:19::1";
const OUTSIDE = "2001:db8:19::2";
/** Says who it is, to clients of both families. */
const SPEAKER = ["sh", "-c", "while :; do echo web | nc -l -p 80 >/dev/null; done"];
const SLEEP = ["sleep", "100000"];

/** The engine's host, and another machine on its wire. */
async function buildPlace(directory: string): Promise<Place> {
	const place = new Place(directory);
	for (const machine of ["host", "net"]) place.addMachine(machine);
	place.addCable("host:wan", "198.51.100.1/24", "net:eth0", "198.51.100.2/24");
	for (const [machine, link, address] of [
		["host", "wan", HOST],
		["net", "eth0", OUTSIDE],
	] as const) {
		place.run(machine, "ip", "-6", "addr", "add", `${address}/64`, "dev", link, "nodad");
	}
	place.run("host", "ip", "-6", "route", "add", "default", "via", OUTSIDE);
	return place;
}

async function run({ docker }: Lab, name: string, options: string[], command: string[] = SLEEP): Promise<void> {
	await docker("run", "-d", "--init", "--name", name, ...options, "busybox", ...command);
}

async function exec({ docker }: Lab, container: string, ...command: string[]) {
	return docker.run(["exec", container, ...command], { timeoutMs: 20_000 });
}

async function pings(lab: Lab, from: string, to: string): Promise<boolean> {
	return (await exec(lab, from, "ping", "-6", "-c", "1", "-W", "1", to)).code === 0;
}

async function field({ docker }: Lab, container: string, network: string, name: string): Promise<string> {
	return docker("inspect", "-f", `{{(index .NetworkSettings.Networks "${network}").${name}}}`, container);
}

function placeOf({ place }: Lab): Place {
	if (!place) throw new Error("the scenario has no place");
	return place;
}

/** What a machine hears at an address of the host's. */
function heard(lab: Lab, machine: string, address: string, port: number): string {
	const script = `exec 3<>/dev/tcp/${address}/${port} && head -n 1 <&3`;
	try {
		return placeOf(lab).run(machine, "timeout", "2", "bash", "-c", script).trim();
	} catch {
		return "nothing";
	}
}

/** Of the engine's server on the host: the answer's code and addresses. */
function lookup(lab: Lab, name: string, type: "A" | "AAAA"): { rcode: string; addresses: string[] } {
	const code = `const { lookup } = await import(${JSON.stringify(join(import.meta.dir, "../../lib/dns.ts"))});
console.log(JSON.stringify(await lookup(${JSON.stringify(lab.engine.dns)}, ${JSON.stringify(name)}, "${type}")));`;
	return JSON.parse(placeOf(lab).run("host", process.execPath, "-e", code)) as { rcode: string; addresses: string[] };
}

export const scenario: Scenario = {
	title: "IPv6: addresses, names, ports and isolation in both families",
	place: buildPlace,
	steps: [
		step("a network with IPv6 has a subnet of the instance's own; without IPv4 it has that alone", async (lab) => {
			await loadImage(lab, "busybox");
			await lab.docker("network", "create", "--ipv6", "dual");
			await lab.docker("network", "create", "--ipv6", "--ipv4=false", "six");
			await lab.docker("network", "create", "--ipv6", "--subnet", "fd77:19::/64", "own");
			const shown = await lab.docker(
				"network",
				"inspect",
				"-f",
				"{{.EnableIPv4}} {{.EnableIPv6}} {{len .IPAM.Config}}",
				"dual",
				"six",
			);
			equal(shown, "true true 2\nfalse true 1", "inspect");
			const none = await lab.docker.run(["network", "create", "--ipv4=false", "no"]);
			includes(none.stderr, "IPv4 or IPv6 must be enabled", "no family");
		}),
		step(
			"containers have addresses at once, and reach each other, the host and the outside behind its address",
			async (lab) => {
				await run(lab, "web", ["--network", "dual", "-p", "28090:80"], SPEAKER);
				await run(lab, "peer", ["--network", "dual"]);
				const address = await field(lab, "web", "dual", "GlobalIPv6Address");
				equal(address.startsWith("fd"), true, `a unique local address: ${address}`);
				equal(await field(lab, "web", "dual", "GlobalIPv6PrefixLen"), "64", "prefix");
				equal(await field(lab, "web", "dual", "IPv6Gateway"), address.replace(/2$/, "1"), "gateway");
				equal(await pings(lab, "peer", address), true, "peer");
				equal(await pings(lab, "peer", OUTSIDE), true, "outside");
				equal(await pings(lab, "peer", HOST), true, "host");
				includes((await exec(lab, "peer", "ip", "-6", "route")).stdout, "default via fd", "default route");
				includes((await exec(lab, "web", "cat", "/etc/hosts")).stdout, `${address}\t`, "/etc/hosts");
			},
		),
		step("names have addresses of both families, and none where there is none of the one asked for", async (lab) => {
			const { domain } = lab.engine;
			const address = await field(lab, "web", "dual", "GlobalIPv6Address");
			includes((await exec(lab, "peer", "nslookup", "-type=aaaa", "web")).stdout, address, "AAAA in a container");
			equal(lookup(lab, `web.${domain}`, "AAAA"), { rcode: "NOERROR", addresses: [address] }, "AAAA on the host");
			await run(lab, "four", []);
			equal(lookup(lab, `four.${domain}`, "AAAA"), { rcode: "NOERROR", addresses: [] }, "AAAA of one with IPv4 alone");
			equal(lookup(lab, `nobody.${domain}`, "AAAA").rcode, "NXDOMAIN", "AAAA of nobody");
			includes((await exec(lab, "peer", "nslookup", address)).stdout, `web.${domain}`, "PTR");
		}),
		step("a published port answers at [::] and 0.0.0.0, from outside and from other networks", async (lab) => {
			equal(await lab.docker("port", "web"), "80/tcp -> 0.0.0.0:28090\n80/tcp -> [::]:28090", "docker port");
			const machines = [
				["net", HOST],
				["net", "198.51.100.1"],
				["host", HOST],
				["host", "127.0.0.1"],
			] as const;
			for (const [machine, to] of machines) {
				const said = await eventually("an answer", async () => heard(lab, machine, to, 28090) === "web" && "web");
				equal(said, "web", `${machine} at ${to}`);
			}
			equal(heard(lab, "host", "::1", 28090), "web", "host at ::1");
			await run(lab, "plain", ["-p", "28091:80"], SPEAKER);
			equal(await lab.docker("port", "plain"), "80/tcp -> 0.0.0.0:28091\n80/tcp -> [::]:28091", "without IPv6");
			for (const [machine, to] of [...machines, ["host", "::1"]] as const) {
				const text = await eventually("an answer", async () => heard(lab, machine, to, 28091) === "web" && "web");
				equal(text, "web", `${machine} at ${to}, of a container without IPv6`);
			}
			await run(lab, "stranger", ["--network", "six"]);
			const said = await eventually("an answer", async () => {
				const { stdout } = await exec(lab, "stranger", "sh", "-c", `nc -w 1 ${HOST} 28090 </dev/null`);
				return stdout.trim() === "web" && "web";
			});
			equal(said, "web", "another network");
		}),
		step("networks are apart in IPv6 too", async (lab) => {
			const address = await field(lab, "web", "dual", "GlobalIPv6Address");
			equal(await pings(lab, "stranger", address), false, "from another network");
			equal(await pings(lab, "stranger", OUTSIDE), true, "which leads outside");
			await lab.docker("network", "create", "--ipv6", "--internal", "vault");
			await run(lab, "safe", ["--network", "vault"]);
			equal(await pings(lab, "safe", OUTSIDE), false, "from an internal network");
			equal(await pings(lab, "peer", await field(lab, "safe", "vault", "GlobalIPv6Address")), false, "to it");
		}),
		step("the check tries both families and says where one fails; the topology shows both", async (lab) => {
			const foredeck = async (...argv: string[]) => {
				const { engine } = lab;
				const done = await Bun.$`${engine.binary} network ${argv} --host ${engine.host}`.nothrow().quiet();
				return { code: done.exitCode, text: `${done.stdout}${done.stderr}` };
			};
			const web = await field(lab, "web", "dual", "GlobalIPv6Address");
			const good = await foredeck("check", "peer", "web");
			equal(good.code, 0, `check: ${good.text}`);
			for (const line of ["IPv4: answers ARP as", "IPv6: answers neighbour discovery as", `IPv6: web is ${web}`]) {
				includes(good.text, line, "check");
			}
			equal((await foredeck("check", "peer", OUTSIDE)).code, 0, "check of the outside");
			const apart = await foredeck("check", "stranger", "web", "--family", "6");
			equal(apart.code, 1, "check of another network");
			includes(apart.text, "no common network", "reason");
			includes((await foredeck("topology")).text, web, "topology");
			equal((await foredeck("status")).code, 0, "no leaks, published ports of IPv6 included");
		}),
		step("an address of the user's choice is given, once", async (lab) => {
			await run(lab, "fixed", ["--network", "own", "--ip6", "fd77:19::7"]);
			equal(await field(lab, "fixed", "own", "GlobalIPv6Address"), "fd77:19::7", "address");
			const taken = await lab.docker.run(["run", "--rm", "--network", "own", "--ip6", "fd77:19::7", "busybox", "true"]);
			includes(taken.stderr, "Address already in use", "taken");
			const auto = await lab.docker.run(["run", "--rm", "--network", "dual", "--ip6", "fd77::1", "busybox", "true"]);
			includes(auto.stderr, "only when connecting to networks with user configured subnets", "no subnet of the user's");
		}),
		step("a running container comes to IPv6 and leaves it", async (lab) => {
			await lab.docker("network", "connect", "own", "four");
			equal(await pings(lab, "four", "fd77:19::7"), true, "connected");
			await lab.docker("network", "disconnect", "own", "four");
			equal(await pings(lab, "four", "fd77:19::7"), false, "disconnected");
		}),
		step("kill -9 of the engine: all of it holds, and addresses are not given twice", async (lab) => {
			await lab.engine.kill();
			await lab.engine.start();
			const said = await eventually("an answer", async () => heard(lab, "net", HOST, 28090) === "web" && "web");
			equal(said, "web", "published port");
			await run(lab, "late", ["--network", "dual"]);
			const all = await Promise.all(
				["web", "peer", "late"].map((name) => field(lab, name, "dual", "GlobalIPv6Address")),
			);
			equal(new Set(all).size, 3, `different addresses: ${all.join(", ")}`);
			equal(await pings(lab, "late", all[0] ?? ""), true, "a new container reaches an old one");
		}),
	],
};
