import { afterEach, beforeEach, expect, test } from "bun:test";
import {
	existsSync,
	mkdirSync,
	mkdtempSync,
	readFileSync,
	renameSync,
	rmSync,
	symlinkSync,
	writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type HostDnsOptions, installHostDns, removeHostDns } from "../cli/host-dns/host-dns.ts";
import { silentLogger } from "../shared/log.ts";
import { keepHostDns } from "./host-dns-keeper.ts";

let root: string;
const at = (name: string) => join(root, name);
const OURS = "nameserver 127.0.0.153\n";
const resolves = () => existsSync(at("resolv.conf")) && readFileSync(at("resolv.conf"), "utf8").includes(OURS);

async function within(ms: number, holds: () => boolean): Promise<boolean> {
	for (const end = Date.now() + ms; Date.now() < end && !holds(); ) await Bun.sleep(10);
	return holds();
}

function options(): HostDnsOptions {
	return {
		domain: "fd.local",
		instance: "fd",
		dns: { address: "127.0.0.153", port: 53 },
		backupPath: at("data/resolv.conf.before"),
		paths: { resolvConf: at("resolv.conf"), resolvedDropIns: at("resolved.conf.d") },
		reloadResolved: async () => {},
	};
}

/** As dhclient-script does. */
function rewrite(file: string, server: string): void {
	writeFileSync(`${at(file)}.dhclient-new`, `nameserver ${server}\n`);
	renameSync(`${at(file)}.dhclient-new`, at(file));
}

beforeEach(() => {
	root = mkdtempSync(join(tmpdir(), "foredeck-keeper-"));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

test("what was installed is put back after a lease, and at a start; the new file is what an uninstall leaves", async () => {
	rewrite("resolv.conf", "10.0.0.1");
	await installHostDns(options());
	rewrite("resolv.conf", "10.0.0.2");
	{
		using _ = keepHostDns(options(), silentLogger);
		expect(await within(3000, resolves)).toBe(true);
		rewrite("resolv.conf", "10.0.0.3");
		expect(resolves()).toBe(false);
		expect(await within(3000, resolves)).toBe(true);
		await removeHostDns(options());
		await Bun.sleep(300);
	}
	expect(readFileSync(at("resolv.conf"), "utf8")).toBe("nameserver 10.0.0.3\n");
});

test("a file behind a link is watched where it lies", async () => {
	mkdirSync(at("run"));
	writeFileSync(at("run/resolv.conf"), "nameserver 10.0.0.1\n");
	symlinkSync(at("run/resolv.conf"), at("resolv.conf"));
	await installHostDns(options());
	using _ = keepHostDns(options(), silentLogger);
	rewrite("run/resolv.conf", "10.0.0.2");
	expect(await within(3000, resolves)).toBe(true);
});

test("a host that was not asked for it is left alone", async () => {
	rewrite("resolv.conf", "10.0.0.1");
	using _ = keepHostDns(options(), silentLogger);
	rewrite("resolv.conf", "10.0.0.2");
	await Bun.sleep(400);
	expect(resolves()).toBe(false);
});
