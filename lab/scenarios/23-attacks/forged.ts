import { equal, eventually } from "../../lib/assert.ts";
import type { Lab } from "../../lib/scenario.ts";

const VIP = "10.123.7.99";

/** What a client hears who asks an address for its name; "" when nobody answers. */
async function hears({ docker }: Lab, address: string): Promise<string> {
	const { stdout } = await docker.run(["exec", "client", "timeout", "1", "nc", "-w", "1", address, "80"]);
	return stdout.trim();
}

/** A container that says it is a sibling: by its address, by ARP, by its MAC. `mallory` may configure its interface, to have it easier. */
export async function forgesSibling(lab: Lab): Promise<void> {
	const { docker } = lab;
	await docker("network", "create", "--subnet", "10.123.7.0/24", "lan");
	for (const name of ["client", "server", "mallory"]) {
		const options = name === "mallory" ? ["--cap-add", "NET_ADMIN"] : [];
		await docker(
			"run",
			"-d",
			"--name",
			name,
			"--network",
			"lan",
			...options,
			"busybox",
			"nc",
			"-ll",
			"-p",
			"80",
			"-e",
			"echo",
			name,
		);
	}
	const of = async (field: string) =>
		(await docker("inspect", "-f", `{{.NetworkSettings.Networks.lan.${field}}}`, "server")).trim();
	const [address, mac] = [await of("IPAddress"), await of("MacAddress")];
	const own = (await docker("inspect", "-f", "{{.NetworkSettings.Networks.lan.MacAddress}}", "mallory")).trim();
	const inside = (command: string) => docker.run(["exec", "mallory", "sh", "-c", command]);
	await eventually("the server answers", async () => (await hears(lab, address)) === "server");
	for (const forged of [address, "10.123.7.1", VIP]) {
		equal((await inside(`ip addr add ${forged}/24 dev eth0`)).code, 0, `mallory's address ${forged}`);
		await inside(`for i in 1 2 3; do arping -U -c 1 -I eth0 ${forged}; arping -A -c 1 -I eth0 ${forged}; done`);
	}
	for (let i = 0; i < 3; i++) equal(await hears(lab, address), "server", "who answers for the server's address");
	equal(await hears(lab, "10.123.7.1"), "", "who answers for the gateway's");
	// Nobody was given this one: it is free, as for VRRP.
	equal(await hears(lab, VIP), "mallory", "who answers for an address of nobody's");
	equal(
		(await inside(`ip link set eth0 address ${mac} && ping -c 3 -i 0.2 -W 1 ${VIP.replace("99", "98")}; true`)).code,
		0,
		"the server's MAC",
	);
	for (let i = 0; i < 3; i++) equal(await hears(lab, address), "server", "who has the server's MAC");
	await inside(`ip link set eth0 address ${own}`);
	await docker("rm", "-f", "client", "server", "mallory");
	await docker("network", "rm", "lan");
}
