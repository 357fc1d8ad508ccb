import { afterEach, beforeEach, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type HostDnsOptions, installHostDns, removeHostDns } from "./host-dns.ts";

let root: string;
let reloads: number;
beforeEach(() => {
	root = mkdtempSync(join(tmpdir(), "foredeck-host-dns-"));
	reloads = 0;
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const at = (name: string) => join(root, name);
const read = (name: string) => readFileSync(at(name), "utf8");

function options(change: Partial<HostDnsOptions> = {}): HostDnsOptions {
	const paths = { resolvConf: at("resolv.conf"), resolvedDropIns: at("resolved.conf.d") };
	const reloadResolved = async () => void reloads++;
	return {
		domain: "fd.local",
		instance: "fd",
		dns: { address: "127.0.0.153", port: 53 },
		backupPath: at("saved/resolv.conf"),
		paths,
		reloadResolved,
		...change,
	};
}

test("install puts our server first and keeps a copy; remove gives back the same bytes", async () => {
	const original = "# mine\nsearch lan\nnameserver 10.0.0.1\nnameserver 10.0.0.2";
	writeFileSync(at("resolv.conf"), original);
	expect(await installHostDns(options())).toContain("127.0.0.153");
	const servers = read("resolv.conf").match(/^nameserver .*/gm);
	expect(servers).toEqual(["nameserver 127.0.0.153", "nameserver 10.0.0.1", "nameserver 10.0.0.2"]);
	expect(read("saved/resolv.conf")).toBe(original);
	expect(await removeHostDns(options())).toContain("taken out");
	expect(read("resolv.conf")).toBe(original);
	expect(existsSync(at("saved/resolv.conf"))).toBe(false);
	expect(await removeHostDns(options())).toBeUndefined();
});

test("install twice changes nothing, and another address replaces ours without touching the copy", async () => {
	writeFileSync(at("resolv.conf"), "nameserver 10.0.0.1\n");
	await installHostDns(options());
	const once = read("resolv.conf");
	expect(await installHostDns(options())).toBeUndefined();
	expect(read("resolv.conf")).toBe(once);
	await installHostDns(options({ dns: { address: "127.0.0.200", port: 53 } }));
	expect(read("resolv.conf").match(/^nameserver .*/gm)).toEqual(["nameserver 127.0.0.200", "nameserver 10.0.0.1"]);
	expect(read("saved/resolv.conf")).toBe("nameserver 10.0.0.1\n");
});

test("remove leaves other instances and what others wrote in between", async () => {
	writeFileSync(at("resolv.conf"), "nameserver 10.0.0.1\n");
	await installHostDns(
		options({ instance: "fd2", dns: { address: "127.0.0.154", port: 53 }, backupPath: at("saved2") }),
	);
	await installHostDns(options());
	writeFileSync(at("resolv.conf"), `${read("resolv.conf")}nameserver 10.0.0.2\n`);
	await removeHostDns(options());
	expect(read("resolv.conf").match(/^nameserver .*/gm)).toEqual([
		"nameserver 127.0.0.154",
		"nameserver 10.0.0.1",
		"nameserver 10.0.0.2",
	]);
});

test("a missing resolv.conf is made, and removed again", async () => {
	await installHostDns(options());
	expect(read("resolv.conf")).toContain("nameserver 127.0.0.153");
	await removeHostDns(options());
	expect(existsSync(at("resolv.conf"))).toBe(false);
});

test("resolv.conf cannot name a port", async () => {
	writeFileSync(at("resolv.conf"), "nameserver 10.0.0.1\n");
	await expect(installHostDns(options({ dns: { address: "127.0.0.153", port: 5353 } }))).rejects.toThrow(
		"127.0.0.153:5353",
	);
	expect(read("resolv.conf")).toBe("nameserver 10.0.0.1\n");
});

test("where systemd-resolved answers, a drop-in routes the domain and resolv.conf stays", async () => {
	writeFileSync(at("resolv.conf"), "nameserver 127.0.0.53\n");
	await installHostDns(options({ dns: { address: "127.0.0.153", port: 5353 } }));
	expect(read("resolved.conf.d/foredeck-fd.conf")).toContain("[Resolve]\nDNS=127.0.0.153:5353\nDomains=~fd.local\n");
	expect(read("resolv.conf")).toBe("nameserver 127.0.0.53\n");
	expect(await installHostDns(options({ dns: { address: "127.0.0.153", port: 5353 } }))).toBeUndefined();
	expect(reloads).toBe(1);
	await removeHostDns(options());
	expect(existsSync(at("resolved.conf.d/foredeck-fd.conf"))).toBe(false);
	expect(reloads).toBe(2);
});
