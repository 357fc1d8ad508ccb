import { ptr } from "bun:ffi";
import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createLogger } from "../shared/log.ts";
import { check, libc } from "../sys/linux/libc.ts";
import type { DaemonOptions } from "./options.ts";
import { announceReady, announceStopping } from "./ready.ts";

const options: DaemonOptions = {
	dataRoot: "/d",
	runRoot: "/r",
	hosts: ["unix:///r/s.sock"],
	instance: "t1",
	logLevel: "info",
	domain: "fd.local",
	dns: { address: "127.0.0.9", port: 5300 },
	defaultAddressPools: [],
	hostGateways: [],
	insecureRegistries: [],
	registryMirrors: [],
	registryCertificates: "/none",
	maxLayerBytes: 1,
	runtimes: [],
};

const MSG_DONTWAIT = 0x40;

let directory: string;
let lines: Record<string, unknown>[];
const log = createLogger("info", {}, (line) => lines.push(JSON.parse(line)));
beforeEach(() => {
	directory = mkdtempSync(join(tmpdir(), "foredeck-ready-"));
	lines = [];
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

test("one ready line names the sockets, the resolver and the pid", () => {
	announceReady(log, options, {});
	expect(lines).toHaveLength(1);
	expect(lines[0]).toMatchObject({ msg: "ready", pid: process.pid, hosts: options.hosts, dns: "127.0.0.9:5300" });
});

test("systemd receives READY=1 and STOPPING=1 on its socket", () => {
	const path = join(directory, "notify");
	const receive = bindDatagramSocket(path);
	announceReady(log, options, { NOTIFY_SOCKET: path });
	announceStopping(log, { NOTIFY_SOCKET: path });
	expect([receive(), receive()]).toEqual(["READY=1", "STOPPING=1"]);
	expect(lines.map((line) => line.msg)).toEqual(["ready"]);
});

test("a notification that cannot be sent is a warning, not a failure", () => {
	announceReady(log, options, { NOTIFY_SOCKET: join(directory, "missing") });
	expect(lines.map((line) => line.level)).toEqual(["warn", "info"]);
});

/** A bound AF_UNIX datagram socket; each call takes one waiting message, then the next, and the second closes it. */
function bindDatagramSocket(path: string): () => string {
	const address = Buffer.concat([Buffer.from([1, 0]), Buffer.from(path)]);
	const fd = check(libc.socket(1, 2, 0), "socket");
	check(libc.bind(fd, ptr(address), address.length), `bind ${path}`);
	let received = 0;
	return () => {
		const buffer = Buffer.alloc(100);
		const length = check(libc.recv(fd, ptr(buffer), 100n, MSG_DONTWAIT), "recv");
		received += 1;
		if (received === 2) libc.close(fd);
		return buffer.toString("utf8", 0, length);
	};
}
