import { beforeEach, expect, test } from "bun:test";
import { chainIds, digestOf } from "../../oci/digest.ts";
import { EngineError } from "../../shared/errors.ts";
import type { LayerCheck } from "./contract.ts";
import { FakeRegistry } from "./testing/fake-registry.ts";
import { createTestImages } from "./testing/fakes.ts";

const [base = "", top = ""] = chainIds([digestOf("base layer"), digestOf("top layer")]);
let registry: FakeRegistry;
let engine: ReturnType<typeof createTestImages>;
let inUse: string[] = [];
beforeEach(async () => {
	registry = new FakeRegistry();
	inUse = [];
	engine = createTestImages({ registry, chainsInUse: () => inUse });
	await registry.putImage("app", "1", ["base layer", "top layer"]);
	await Array.fromAsync(engine.open().pull("reg:5/app", { tag: "1" }));
	engine.put(["alone"], []);
	engine.snapshotter.verify = async (chainId) => {
		const bytes = engine.snapshotter.committed.get(chainId) ?? new Uint8Array();
		if (new TextDecoder().decode(bytes) === "damaged") throw new EngineError("internal", "file x differs");
	};
});

const damage = (chainId: string) => engine.snapshotter.committed.set(chainId, new TextEncoder().encode("damaged"));
const check = async (repair: boolean) => {
	const found: LayerCheck[] = await Array.fromAsync(engine.open().check({ repair }));
	return new Map(found.map(({ chainId, status, detail }) => [chainId, detail ? `${status}: ${detail}` : status]));
};

test("damage is found and named, and nothing is touched unless a repair is asked for", async () => {
	expect([...(await check(true)).values()]).toEqual(["ok", "ok", "ok"]);
	damage(top);
	expect((await check(false)).get(top)).toBe("damaged: file x differs");
	expect((await check(true)).get(top)).toBe("repaired: file x differs; fetched again from reg:5/app");
	expect([...(await check(false)).values()]).toEqual(["ok", "ok", "ok"]);
	engine.snapshotter.committed.delete(base);
	expect((await check(true)).get(base)).toStartWith("repaired: the layer is missing");
});

test("a repair logs in where the layer lies, with what is known of that registry", async () => {
	const used: unknown[] = [];
	const blob = registry.blob.bind(registry);
	registry.blob = (repository, descriptor, options) => {
		used.push(options.credentials);
		return blob(repository, descriptor, options);
	};
	damage(top);
	const credentials = { "https://reg:5/v2/": { username: "me" }, "far:6": { username: "other" } };
	await Array.fromAsync(engine.open().check({ repair: true, credentials }));
	expect(used).toEqual([{ username: "me" }]);
});

test("what cannot be repaired stays, with the reason", async () => {
	const alone = digestOf("alone");
	damage(alone);
	expect((await check(true)).get(alone)).toEndWith("not repaired: no registry is known to have it");
	damage(base);
	inUse = [base];
	expect((await check(true)).get(base)).toEndWith("not repaired: a container uses it");
	inUse = [];
	registry.blobs.clear();
	expect((await check(true)).get(base)).toContain("not repaired: reg:5/app: blob");
	expect(engine.snapshotter.has(base)).toBe(true);
});
