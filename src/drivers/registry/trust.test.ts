import { afterAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInsecureHosts, readTlsSettings } from "./trust.ts";

const folder = mkdtempSync(join(tmpdir(), "registry-trust-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test("loopback is always insecure, other hosts when they or their network are listed", async () => {
	const hosts = createInsecureHosts(["reg.test:5000", "10.1.0.0/16", "2001:db8::/32"]);
	const insecure = [
		"127.0.0.1:5000",
		"127.9.9.9",
		"localhost",
		"LOCALHOST:80",
		"[::1]:5000",
		"reg.test:5000",
		"10.1.2.3:443",
		"[2001:db8::7]",
	];
	const secure = [
		"reg.test",
		"reg.test:5001",
		"10.2.0.1",
		"docker.io",
		"127.0.0.1.test",
		"[2001:db9::7]:1",
		"localhost.test",
	];
	expect(insecure.filter((domain) => !hosts.isInsecure(domain))).toEqual([]);
	expect(secure.filter((domain) => hosts.isInsecure(domain))).toEqual([]);
	expect(await hosts.resolvesInsecure("10.2.0.1")).toBe(false);
	expect(await hosts.resolvesInsecure("docker.io")).toBe(false);
});

test("a network that is none is refused with its text", () => {
	for (const bad of ["10.0.0.0/33", "reg.test/24", "10.0.0.0/", "::1/129"]) {
		expect(() => createInsecureHosts([bad])).toThrow(`invalid insecure registry ${bad}`);
	}
});

test("certs.d: authorities are added to the system's, the client certificate comes with its key", async () => {
	const host = join(folder, "reg.test:5000");
	mkdirSync(host);
	writeFileSync(join(host, "ca.crt"), "AUTHORITY");
	writeFileSync(join(host, "me.cert"), "CERT");
	await expect(readTlsSettings(folder, "reg.test:5000")).rejects.toThrow(
		"missing key me.key for client certificate me.cert. CA certificates must use the extension .crt",
	);
	writeFileSync(join(host, "me.key"), "KEY");
	const settings = await readTlsSettings(folder, "reg.test:5000");
	expect(settings).toMatchObject({ cert: "CERT", key: "KEY", rejectUnauthorized: true });
	expect(settings.ca?.at(-1)).toBe("AUTHORITY");
	expect(settings.ca?.length).toBeGreaterThan(10);
	writeFileSync(join(host, "other.key"), "KEY");
	await expect(readTlsSettings(folder, "reg.test:5000")).rejects.toThrow(
		"missing client certificate other.cert for key other.key",
	);
	expect((await readTlsSettings(folder, "none.test")).cert).toBeUndefined();
});
