import { equal, includes } from "../../lib/assert.ts";
import { loadImage } from "../../lib/load-image.ts";
import { Place } from "../../lib/place.ts";
import type { Lab, Scenario } from "../../lib/scenario.ts";
import { step } from "../../lib/scenario.ts";

const [HOST, HOST_IN_LAN, LAN_MACHINE, INTERNET] = ["198.51.100.1", "10.77.0.1", "10.77.0.2", "203.0.113.10"];
const [HOST6, INTERNET6] = ["2001:db8:17::1", "2001:db8:17::2"];
const SLEEP = ["sleep", "100000"];

/** The host has the internet on one cable, and its LAN on the other. */
async function build(directory: string): Promise<Place> {
	const place = new Place(directory);
	for (const name of ["host", "internet", "lan"]) place.addMachine(name);
	place.addCable("host:wan", `${HOST}/24`, "internet:eth0", "198.51.100.2/24");
	place.addCable("host:lan", `${HOST_IN_LAN}/24`, "lan:eth0", `${LAN_MACHINE}/24`);
	place.run("host", "ip", "route", "add", "default", "via", "198.51.100.2");
	for (const [machine, link, address] of [
		["host", "wan", HOST6],
		["internet", "eth0", INTERNET6],
	] as const) {
		place.run(machine, "ip", "addr", "add", `${address}/64`, "dev", link, "nodad");
	}
	place.run("host", "ip", "-6", "route", "add", "default", "via", INTERNET6);
	place.run("internet", "ip", "-6", "route", "add", "fd77::/48", "via", HOST6);
	place.run("lan", "ip", "route", "add", "default", "via", HOST_IN_LAN);
	place.run("internet", "ip", "addr", "add", `${INTERNET}/32`, "dev", "lo");
	place.setNameservers(INTERNET);
	await place.serveNames("internet", INTERNET, INTERNET);
	await place.speak("internet", 7000, "internet");
	await place.speak("lan", 7000, "lan");
	await place.speak("host", 7001, "host");
	return place;
}

/** What is heard inside a container, "" when nobody answers. */
async function heard({ docker }: Lab, from: string, to: string, port: number): Promise<string> {
	const command = `nc -w 1 ${to} ${port} </dev/null`;
	const { stdout } = await docker.run(["exec", from, "sh", "-c", command], { timeoutMs: 20_000 });
	return stdout.trim();
}

async function silent(lab: Lab, from: string, targets: readonly (readonly [string, number])[]): Promise<void> {
	const answers = await Promise.all(targets.map(([to, port]) => heard(lab, from, to, port)));
	const open = targets.filter((_, at) => answers[at] !== "").map(([to, port]) => `${to}:${port}`);
	equal(open, [], `what ${from} reaches and must not`);
}

async function addressOf({ docker }: Lab, name: string): Promise<string> {
	return docker("inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", name);
}

async function inside({ docker }: Lab, name: string, command: string): Promise<string> {
	const { stdout, stderr } = await docker.run(["exec", name, "sh", "-c", command], { timeoutMs: 20_000 });
	return `${stdout}\n${stderr}`;
}

async function links(lab: Lab, name: string): Promise<string[]> {
	return (await inside(lab, name, "ls /sys/class/net")).trim().split(/\s+/);
}

/** Of gateway, host and internet, whom a container pings that may give itself an IPv6 address and a default route, where the host would be its router. */
async function pingsForged(lab: Lab, network: string, prefix: string): Promise<string[]> {
	const { docker, place } = lab;
	const name = `forger-${network}`;
	await docker("run", "-d", "--init", "--privileged", "--name", name, "--network", network, "busybox", ...SLEEP);
	const gateway = `${prefix}::1`;
	const id = await docker("network", "inspect", "-f", "{{.Id}}", network);
	const bridge = network === "outbound" ? `${lab.engine.instance.slice(0, 11)}-out` : `br-${id.slice(0, 12)}`;
	place?.run("host", "ip", "addr", "add", `${gateway}/64`, "dev", bridge, "nodad");
	place?.run("host", "sysctl", "-qw", "net.ipv6.conf.all.forwarding=1");
	const steps = [
		"echo 0 >/proc/sys/net/ipv6/conf/eth0/disable_ipv6",
		"echo 0 >/proc/sys/net/ipv6/conf/eth0/accept_dad",
		`ip -6 addr add ${prefix}::2/64 dev eth0`,
		`ip -6 route add default via ${gateway}`,
	];
	const done = await docker.run(["exec", name, "sh", "-ec", steps.join("; ")]);
	equal(done.code, 0, `what it gives itself: ${done.stderr}`);
	await Bun.sleep(1500);
	const reached = [];
	for (const target of [gateway, HOST6, INTERNET6]) {
		const { code } = await docker.run(["exec", name, "ping", "-6", "-c", "1", "-W", "1", target], {
			timeoutMs: 20_000,
		});
		if (code === 0) reached.push(target);
	}
	return reached;
}

const speaker = (text: string) => ["sh", "-c", `while :; do echo ${text} | nc -l -p 80 >/dev/null; done`];

export const scenario: Scenario = {
	title: "sandbox modes give a container as much network as they say, and no more",
	place: build,
	steps: [
		step("the modes are networks that are there, cannot be made nor removed", async (lab) => {
			const { docker } = lab;
			await loadImage(lab, "busybox");
			const names = (await docker("network", "ls", "--filter", "type=builtin", "--format", "{{.Name}}")).split("\n");
			equal(
				names.toSorted(),
				["bridge", "disabled", "full", "host", "loopback", "none", "outbound"],
				"builtin networks",
			);
			equal(
				await docker("network", "inspect", "-f", "{{(index .IPAM.Config 0).Subnet}}", "outbound"),
				"192.168.65.0/24",
				"subnet",
			);
			for (const name of ["disabled", "loopback", "outbound", "full"]) {
				const removed = await docker.run(["network", "rm", name]);
				includes(removed.stderr, `${name} is a pre-defined network and cannot be removed`, "removal");
				const made = await docker.run(["network", "create", name]);
				includes(made.stderr, `operation is not permitted on predefined ${name} network`, "creation");
			}
		}),
		step("one container in each mode, and one on a network of the user's", async ({ docker }) => {
			await docker("network", "create", "own");
			const modes = ["disabled", "loopback", "outbound", "full"];
			for (const mode of modes)
				await docker("run", "-d", "--init", "--name", mode, "--network", mode, "busybox", ...speaker(mode));
			await docker(
				"run",
				"-d",
				"--init",
				"--name",
				"sibling",
				"--network",
				"outbound",
				"busybox",
				...speaker("sibling"),
			);
			await docker("run", "-d", "--init", "--name", "peer", "--network", "full", "busybox", ...SLEEP);
			await docker(
				"run",
				"-d",
				"--init",
				"--name",
				"web",
				"--network",
				"own",
				"-p",
				"8080:80",
				"busybox",
				...speaker("web"),
			);
		}),
		step("disabled: lo alone, and down", async (lab) => {
			equal(await links(lab, "disabled"), ["lo"], "interfaces");
			includes(
				await inside(lab, "disabled", "cat /sys/class/net/lo/operstate; ip link show lo"),
				"<LOOPBACK>",
				"lo is down",
			);
			await silent(lab, "disabled", [
				["127.0.0.1", 80],
				[INTERNET, 7000],
				[HOST, 7001],
			]);
		}),
		step("loopback: itself, nobody else, no resolver", async (lab) => {
			equal(await links(lab, "loopback"), ["lo"], "interfaces");
			equal(await heard(lab, "loopback", "127.0.0.1", 80), "loopback", "itself");
			await silent(lab, "loopback", [
				[INTERNET, 7000],
				[HOST, 7001],
				[LAN_MACHINE, 7000],
			]);
			equal((await inside(lab, "loopback", "grep nameserver /etc/resolv.conf")).trim(), "", "servers");
		}),
		step("outbound: the internet behind the host's address, by name too", async (lab) => {
			equal(await heard(lab, "outbound", INTERNET, 7000), `internet;${HOST}`, "internet");
			equal(await heard(lab, "outbound", "www.example.org", 7000), `internet;${HOST}`, "internet by name");
		}),
		step("outbound: neither LAN, nor host, nor gateway, nor another container, published or not", async (lab) => {
			const gateway = "192.168.65.1";
			const others = await Promise.all(["web", "sibling", "full"].map((name) => addressOf(lab, name)));
			await silent(lab, "outbound", [
				[LAN_MACHINE, 7000],
				[HOST, 7001],
				[HOST_IN_LAN, 7001],
				[gateway, 7001],
				[HOST, 8080],
				[gateway, 8080],
				...others.map((address) => [address, 80] as const),
			]);
			for (const name of ["web", "sibling", "full"]) {
				includes(await inside(lab, "outbound", `nslookup ${name}.fd.local`), "NXDOMAIN", `name ${name}`);
			}
		}),
		step("outbound: nobody gets in, the host included, and no port can be published", async (lab) => {
			const address = await addressOf(lab, "outbound");
			for (const from of ["web", "sibling", "full"]) await silent(lab, from, [[address, 80]]);
			const place = lab.place as Place;
			const ask = (machine: string) =>
				place.run(machine, "sh", "-c", `busybox nc -w 1 ${address} 80 </dev/null || true`);
			equal(["host", "lan", "internet"].map(ask), ["", "", ""], "from the machines");
			const published = await lab.docker.run([
				"run",
				"--rm",
				"--network",
				"outbound",
				"-p",
				"8081:80",
				"busybox",
				"true",
			]);
			includes(published.stderr, "nothing comes into network outbound; use network full", "publishing");
		}),
		step(
			"outbound: no IPv6, also for one that gives itself an address and a way; full has it by an option",
			async (lab) => {
				equal((await inside(lab, "outbound", "ip -6 addr show dev eth0")).trim(), "", "addresses");
				equal((await inside(lab, "outbound", "ip -6 route show default")).trim(), "", "default route");
				const refused = await lab.docker.run(["network", "create", "--ipv6", "-o", "foredeck.mode=outbound", "no"]);
				includes(refused.stderr, "IPv6 is closed in networks of foredeck.mode=outbound", "creation");
				equal(await pingsForged(lab, "outbound", "fd77:0:0:1"), [], "what it reaches");
				await lab.docker("network", "create", "-o", "foredeck.mode=full", "plain");
				// The same tricks are of use on a network that is not closed, or the line above would say nothing.
				equal(
					await pingsForged(lab, "plain", "fd77:0:0:2"),
					["fd77:0:0:2::1", HOST6, INTERNET6],
					"what another reaches",
				);
				await lab.docker("network", "create", "--ipv6", "-o", "foredeck.mode=full", "both");
				await lab.docker("run", "-d", "--init", "--name", "dual", "--network", "both", "busybox", ...SLEEP);
				includes(await inside(lab, "dual", `ping -6 -c 1 -W 1 ${INTERNET6}`), "1 packets received", "full with IPv6");
			},
		),
		step("full: everywhere out, reached by host and peers, and by others at published ports", async (lab) => {
			equal(await heard(lab, "full", INTERNET, 7000), `internet;${HOST}`, "internet");
			equal(await heard(lab, "full", LAN_MACHINE, 7000), `lan;${HOST_IN_LAN}`, "LAN");
			equal(await heard(lab, "full", HOST, 7001), `host;${await addressOf(lab, "full")}`, "host");
			equal(await heard(lab, "peer", "full", 80), "full", "peer by name");
			equal(await heard(lab, "full", HOST, 8080), "web", "another network's published port");
			const place = lab.place as Place;
			const address = await addressOf(lab, "full");
			includes(place.run("host", "sh", "-c", `busybox nc -w 1 ${address} 80 </dev/null`), "full", "from the host");
			equal(place.run("internet", "sh", "-c", `busybox nc -w 1 ${address} 80 </dev/null || true`), "", "from outside");
		}),
		step("a network of the user's is outbound by an option, with a hole into the LAN", async (lab) => {
			const options = ["-o", "foredeck.mode=outbound", "-o", `foredeck.allow=${LAN_MACHINE}`];
			await lab.docker("network", "create", ...options, "work");
			await lab.docker("run", "-d", "--init", "--name", "worker", "--network", "work", "busybox", ...SLEEP);
			equal(await heard(lab, "worker", LAN_MACHINE, 7000), `lan;${HOST_IN_LAN}`, "what is allowed");
			await silent(lab, "worker", [
				[HOST, 7001],
				[HOST_IN_LAN, 7001],
				[HOST, 8080],
			]);
		}),
		step("each has a root of its own that can be written", async (lab) => {
			for (const name of ["disabled", "loopback", "outbound", "full"]) {
				equal((await inside(lab, name, `echo ${name} >/mark && cat /mark`)).trim(), name, "what was written");
			}
		}),
	],
};
