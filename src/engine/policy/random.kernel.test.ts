import { afterAll, afterEach, beforeAll, expect, test } from "bun:test";
import { ask, askUdp, OUTSIDE } from "../../sys/linux/testing/outside-host.ts";
import { type Guest, OUTSIDE6, PolicyHost } from "../../testing/policy-host.ts";
import { serveBoth, serveUdp } from "../../testing/traffic.ts";

/** Policies by chance, and what becomes of packets by them: `explain` must have said it. */
const servers: Disposable[] = [];
let host: PolicyHost;
let guests: Readonly<Record<string, Guest>>;
/** What can be asked for, with the host's own addresses. */
let targets: readonly string[];

beforeAll(async () => {
	host = new PolicyHost();
	await host.start();
	await host.createNetwork("dual", { enableIpv6: true });
	guests = {
		a: await host.on("a", "dual", { role: "web" }),
		b: await host.on("b", "dual", { role: "db", "com.docker.compose.project": "shop" }),
		c: await host.on("c", "dual", { "com.docker.compose.project": "shop" }),
	};
	const paths = [...Object.values(guests).map(({ path }) => path), host.outside];
	for (const path of [...paths, "/proc/thread-self/ns/net"]) {
		servers.push(serveBoth(path, 90, "90"), serveBoth(path, 91, "91"), await serveUdp(path, 92));
	}
	const gateways = host.sandboxes.members().flatMap(({ endpoints }) => endpoints.flatMap((one) => one.gateways ?? []));
	const own = Object.values(guests).flatMap(({ address, address6 }) => [address, address6]);
	targets = [...new Set([...own, ...gateways, OUTSIDE, OUTSIDE6])];
});

afterAll(async () => {
	for (const server of servers) server[Symbol.dispose]();
	await host.close();
});

afterEach(async () => {
	for (const { policy } of host.policies.list()) host.policies.remove(policy.name);
	await host.policies.settled();
});

const SERVICES = ["90/tcp", "91/tcp", "92/udp", "icmp"] as const;

test.each([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12])(
	"what explain says of policies by chance is what becomes of packets (%d)",
	async (seed) => {
		const chance = new Chance(seed);
		const documents = Array.from({ length: chance.upTo(4) + 1 }, (_, i) => policyBy(chance, `p${i}`));
		await host.applied(...documents);
		const flows = Array.from({ length: 30 }, () => ({
			from: chance.of(["a", "b", "c"]),
			to: chance.of(targets),
			service: chance.of(SERVICES),
		})).filter(({ from, to }) => guests[from]?.address !== to && guests[from]?.address6 !== to);
		const said = flows.map(({ from, to, service }) => {
			const place = to.includes(":") ? `[${to}]` : to;
			const target = service === "icmp" ? `${to}/icmp` : `${place}:${service}`;
			return `${from} ${target} ${host.policies.explain(from, target).allowed}`;
		});
		const seen = await Promise.all(
			flows.map(async ({ from, to, service }) => {
				const place = to.includes(":") ? `[${to}]` : to;
				return `${from} ${service === "icmp" ? `${to}/icmp` : `${place}:${service}`} ${await arrives(guests[from]?.path ?? "", to, service)}`;
			}),
		);
		const differing = said.filter((one, i) => one !== seen[i]);
		expect({ differing, documents: differing.length > 0 ? documents : [] }).toEqual({ differing: [], documents: [] });
		// Both happen.
		fates.push(...seen.map((one) => one.endsWith("true")));
	},
);

test("of all that was tried, a good part was allowed and a good part denied", () => {
	const allowed = fates.filter(Boolean).length;
	expect(fates.length).toBeGreaterThan(200);
	expect(Math.min(allowed, fates.length - allowed)).toBeGreaterThan(fates.length / 5);
});

const fates: boolean[] = [];

async function arrives(path: string, to: string, service: (typeof SERVICES)[number]): Promise<boolean> {
	if (service === "icmp") {
		const family = to.includes(":") ? "-6" : "-4";
		const command = ["nsenter", `--net=${path}`, "ping", family, "-c", "2", "-i", "0.2", "-W", "1", to];
		return (await Bun.spawn(command, { stdout: "ignore", stderr: "ignore" }).exited) === 0;
	}
	const [port = "", protocol] = service.split("/");
	const answer = protocol === "udp" ? await askUdp(path, to, Number(port)) : await ask(path, to, Number(port));
	return answer !== "closed";
}

function policyBy(chance: Chance, name: string) {
	const select = chance.of([
		{ names: ["a"] },
		{ names: ["b", "c"] },
		{ labels: { role: "*" } },
		{ projects: ["shop"] },
		{ networks: ["dual"] },
		{ all: true },
	]);
	const sides = { egress: chance.of(["allow", "deny"]), ingress: chance.of(["allow", "deny", "allow"]) };
	const rules = Array.from({ length: chance.upTo(4) }, () => ruleBy(chance));
	return { name, select, default: sides, rules };
}

function ruleBy(chance: Chance) {
	const action = chance.of(["allow", "allow", "deny"]);
	const side = chance.of(["to", "from"]);
	const peers = Array.from({ length: 1 + chance.upTo(2) }, () => peerBy(chance));
	const whom = chance.upTo(5) === 0 ? { direction: side === "to" ? "egress" : "ingress" } : { [side]: peers };
	const service = chance.of([
		{},
		{ ports: [90] },
		{ ports: ["90-91"] },
		{ ports: [91, 92], protocols: ["tcp", "udp"] },
		{ protocols: ["icmp"] },
		{ protocols: ["udp"] },
		{ protocols: ["tcp", "icmp"] },
	]);
	return { action, ...whom, ...service };
}

function peerBy(chance: Chance): string | object {
	const { a, b } = guests;
	return chance.of([
		"host",
		"0.0.0.0/0",
		"::/0",
		`${OUTSIDE}/32`,
		{ cidr: "198.51.100.0/24", except: [OUTSIDE] },
		"2001:db8:1::/64",
		a?.address ?? "",
		b?.address6 ?? "",
		{ sandboxes: { names: ["a"] } },
		{ sandboxes: { labels: { role: "db" } } },
		{ sandboxes: { projects: ["shop"] } },
		{ sandboxes: { all: true } },
	]);
}

/** The same numbers for the same seed (mulberry32). */
class Chance {
	constructor(private state: number) {}

	/** 0 to `end` - 1 */
	upTo(end: number): number {
		this.state = (this.state + 0x6d2b79f5) | 0;
		let mixed = Math.imul(this.state ^ (this.state >>> 15), 1 | this.state);
		mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
		return ((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * end) | 0;
	}

	of<T>(some: readonly T[]): T {
		const one = some[this.upTo(some.length)];
		if (one === undefined) throw new Error("nothing to choose from");
		return one;
	}
}
