import { afterAll, afterEach, beforeAll, expect, test } from "bun:test";
import { Nftables } from "../../sys/linux/nftables.ts";
import { ask, serveTcp } from "../../sys/linux/testing/outside-host.ts";
import { PolicyHost } from "../../testing/policy-host.ts";
import { parsePolicies } from "./parse.ts";

/** Many policies at once: what they need comes bit by bit, what they say all at once. */
let host: PolicyHost;

beforeAll(async () => {
	host = new PolicyHost();
	await host.start();
	await host.createNetwork("blue");
});

afterAll(() => host.close());

afterEach(() => host.clear());

const COUNT = 60;
/** The last one is about `web`, which must not reach `db`. */
const documents = (action: string) =>
	Array.from({ length: COUNT }, (_, at) => ({
		name: `p${String(at).padStart(2, "0")}`,
		select: { names: [at === COUNT - 1 ? "web" : `nobody-${at}`] },
		rules: [{ action, to: [{ sandboxes: { names: ["db"] } }], ports: [80] }],
	}));

/** Without handles and what is counted and learned, in no order: the table that stands, piece by piece. */
function pieces(): string[] {
	const text = new Nftables().run("list table inet foredeck-t");
	const versionless = text.replaceAll(/\/\d+/g, "").replaceAll(/packets \d+ bytes \d+/g, "");
	const all = versionless.split(/\n\n?(?=\t(?:chain|set|map|counter) )/);
	return all.map((piece) => piece.replace(/\n\}?\n*$/, "").trim()).toSorted();
}

async function swept(): Promise<void> {
	for (let before = -1, now = 0; before !== now; ) {
		before = now;
		await Bun.sleep(100);
		now = pieces().length;
	}
}

test("many policies hold at once when they are applied, and not before; sandboxes come and go meanwhile", async () => {
	const db = await host.on("db", "blue");
	const web = await host.on("web", "blue");
	using _server = serveTcp(db.path, 80, "db");
	for (const [action, expected] of [
		["deny", "closed"],
		["allow", `db;${web.address}`],
		["deny", "closed"],
	] as const) {
		const policies = parsePolicies(documents(action));
		const before = await ask(web.path, db.address, 80);
		let isPrepared = false;
		const preparing = host.policies.prepare(policies).then(() => {
			isPrepared = true;
		});
		await new Promise(setImmediate);
		expect(isPrepared).toBe(false);
		const passing = host.on("passing", "blue").then(() => host.leave("passing"));
		expect(await ask(web.path, db.address, 80)).toBe(before);
		await Promise.all([preparing, passing]);
		host.policies.apply(policies, { dryRun: false });
		await host.policies.settled();
		expect(await ask(web.path, db.address, 80)).toBe(expected);
		await swept();
	}
	const bitByBit = pieces();
	expect(bitByBit.length).toBeGreaterThan(COUNT * 6);
	await host.stop();
	await host.start();
	expect(bitByBit).toEqual(pieces());
});

test("what was prepared and is lost with the table is there all the same when it is applied", async () => {
	const [db, web] = [await host.on("db", "blue"), await host.on("web", "blue")];
	using _server = serveTcp(db.path, 80, "db");
	const policies = parsePolicies(documents("deny"));
	const preparing = host.policies.prepare(policies);
	await new Promise(setImmediate);
	new Nftables().run("delete table inet foredeck-t");
	await preparing;
	host.policies.apply(policies, { dryRun: false });
	expect(await ask(web.path, db.address, 80)).toBe("closed");
	expect(host.policies.inspect(`p${COUNT - 1}`).sandboxes).toEqual(["web"]);
	// The watch puts back what others took away, once it has seen it.
	await Bun.sleep(300);
	expect(await ask(web.path, db.address, 80)).toBe("closed");
});
