import { join } from "node:path";
import { equal, eventually, includes } from "../../lib/assert.ts";
import { loadImage } from "../../lib/load-image.ts";
import { Place } from "../../lib/place.ts";
import type { Lab, Scenario } from "../../lib/scenario.ts";
import { step } from "../../lib/scenario.ts";

const [HOST, UPLINK, SERVER, UPLINK_DNS] = ["198.51.100.1", "198.51.100.2", "203.0.113.10", "203.0.113.53"];
const [GATEWAY, TUNNEL, COMPANY, COMPANY_DNS] = ["192.0.2.2", "10.8.0.1", "10.50.0.10", "10.50.0.53"];
const BYTES = 2_000_000;

/** The host's uplink leads to the internet, which has a server, and behind which the VPN's gateway and the company are. */
async function build(directory: string): Promise<Place> {
	const place = new Place(directory);
	for (const name of ["host", "internet", "gateway"]) place.addMachine(name);
	place.addCable("host:wan", `${HOST}/24`, "internet:eth0", `${UPLINK}/24`);
	place.addCable("internet:vpn", "192.0.2.1/24", "gateway:eth0", `${GATEWAY}/24`);
	place.run("host", "ip", "route", "add", "default", "via", UPLINK);
	place.run("gateway", "ip", "route", "add", "default", "via", "192.0.2.1");
	place.run("internet", "ip", "route", "add", "10.8.0.0/24", "via", GATEWAY);
	for (const machine of ["internet", "gateway"]) place.run(machine, "sysctl", "-qw", "net.ipv4.ip_forward=1");
	for (const address of [SERVER, UPLINK_DNS]) place.run("internet", "ip", "addr", "add", `${address}/32`, "dev", "lo");
	for (const address of [COMPANY, COMPANY_DNS]) place.run("gateway", "ip", "addr", "add", `${address}/32`, "dev", "lo");
	await place.speak("internet", 7000, "server", SERVER);
	await place.speak("gateway", 7000, "company");
	await place.start("internet", "lib/speaker.ts", ["sink", "7001", String(BYTES)], () =>
		place.listens("internet", 7001),
	);
	await place.serveNames("internet", UPLINK_DNS, SERVER);
	await place.serveNames("gateway", COMPANY_DNS, COMPANY);
	place.setNameservers(UPLINK_DNS);
	return place;
}

/** The tunnel is made; nothing is sent through it yet. */
async function dial(place: Place): Promise<void> {
	const ends = [
		["host", TUNNEL, GATEWAY],
		["gateway", "10.8.0.2", HOST],
	] as const;
	for (const [machine, address, peer] of ends) {
		const isThere = () => place.run(machine, "ip", "link").includes("tun0:");
		await place.start(machine, "scenarios/20-vpn/tunnel.ts", ["tun0", "4500", peer, "4500"], isThere);
		place.run(machine, "ip", "addr", "add", `${address}/24`, "dev", "tun0");
		place.run(machine, "ip", "link", "set", "tun0", "mtu", "1400", "up");
	}
	place.run("host", "ip", "route", "add", `${GATEWAY}/32`, "via", UPLINK);
}

/** As VPN clients do: the default route and the servers for names. */
function up(place: Place): void {
	place.run("host", "ip", "route", "replace", "default", "dev", "tun0");
	place.setNameservers(COMPANY_DNS);
}

function down(place: Place): void {
	place.run("host", "ip", "route", "replace", "default", "via", UPLINK);
	place.setNameservers(UPLINK_DNS);
}

async function inside({ docker }: Lab, command: string): Promise<string> {
	const { stdout } = await docker.run(["exec", "app", "sh", "-c", command], { timeoutMs: 30_000 });
	return stdout.trim();
}

const heard = (lab: Lab, to: string) => inside(lab, `nc -w 2 ${to} 7000 </dev/null`);

async function named(lab: Lab, expected: string): Promise<void> {
	const isKnown = async () => (await inside(lab, "nslookup www.example.org")).includes(expected);
	await eventually(`names come from the servers that answer ${expected}`, isKnown, { withinMs: 5000 });
}

function placeOf({ place }: Lab): Place {
	if (!place) throw new Error("the scenario has no place");
	return place;
}

/** One socket that sends before and after `change`; the addresses that the server saw. */
async function acrossChange(lab: Lab, change: () => void): Promise<string[]> {
	const pid = await lab.docker("inspect", "-f", "{{.State.Pid}}", "app");
	const speaker = join(import.meta.dir, "../../lib/speaker.ts");
	const command = ["nsenter", `--net=/proc/${pid}/ns/net`, process.execPath, speaker, "ask", SERVER, "7000"];
	const sending = new Response(Bun.spawn(command, { stdin: "ignore", stdout: "pipe" }).stdout).text();
	await Bun.sleep(1500);
	change();
	return [
		...new Set(
			(await sending)
				.trim()
				.split("\n")
				.map((line) => line.split(";")[1] ?? ""),
		),
	];
}

export const scenario: Scenario = {
	title: "containers follow a VPN that comes up and goes down on the host, without a restart",
	place: build,
	steps: [
		step("without the VPN: behind the uplink's address, names from the uplink's servers", async (lab) => {
			await loadImage(lab, "busybox");
			await lab.docker("network", "create", "own");
			await lab.docker("run", "-d", "--init", "--name", "app", "--network", "own", "busybox", "sleep", "100000");
			equal(await heard(lab, SERVER), `server;${HOST}`, "server");
			equal(await heard(lab, COMPANY), "", "company");
			await named(lab, SERVER);
		}),
		step("it comes up: a socket that is open goes on behind the tunnel's address, at once", async (lab) => {
			const place = placeOf(lab);
			await dial(place);
			equal(await acrossChange(lab, () => up(place)), [HOST, TUNNEL], "addresses that the server saw");
			const before = await lab.docker.run(["inspect", "-f", "{{.RestartCount}}", "app"]);
			equal(before.stdout, "0", "restarts");
		}),
		step("new connections and names go through it", async (lab) => {
			equal(await heard(lab, SERVER), `server;${TUNNEL}`, "server");
			equal(await heard(lab, COMPANY), `company;${TUNNEL}`, "company");
			await named(lab, COMPANY);
		}),
		step("its smaller MTU: a large upload gets through where nobody may tell of packets too large", async (lab) => {
			const place = placeOf(lab);
			const rules =
				"table ip quiet { chain o { type filter hook output priority 0; icmp type destination-unreachable drop; }; }";
			for (const machine of ["host", "gateway", "internet"]) place.run(machine, "nft", rules);
			const sent = await inside(lab, `head -c ${BYTES} /dev/zero | nc -w 8 ${SERVER} 7001`);
			equal(sent, "all", "upload");
			for (const machine of ["host", "gateway", "internet"]) place.run(machine, "nft", "delete table ip quiet");
		}),
		step("foredeck network check tells the path's MTU", async ({ engine }) => {
			const command = [engine.binary, "network", "check", "app", SERVER, "--port", "7000", "--host", engine.host];
			const { stdout, exitCode } = Bun.spawnSync(command);
			includes(stdout.toString(), "1400 bytes", "report");
			equal(exitCode, 0, "exit code");
		}),
		step("it goes down: back behind the uplink's address, names too", async (lab) => {
			equal(await acrossChange(lab, () => down(placeOf(lab))), [TUNNEL, HOST], "addresses that the server saw");
			equal(await heard(lab, SERVER), `server;${HOST}`, "server");
			await named(lab, SERVER);
		}),
	],
};
