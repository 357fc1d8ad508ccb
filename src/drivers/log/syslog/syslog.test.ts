import { afterAll, expect, test } from "bun:test";
import { createSocket } from "node:dgram";
import { mkdtempSync, rmSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { SyslogTarget } from "../../../shared/log-target.ts";
import { receiveDatagrams } from "../../../sys/linux/datagram.ts";
import { syslogMessage } from "./format.ts";
import { openSyslogLog } from "./writer.ts";

const root = mkdtempSync(join(tmpdir(), "syslog-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const TARGET: SyslogTarget = { transport: "tcp", address: "", facility: 3, format: "rfc5424", tag: "web" };
const OUT = `<30>1 TIME HOST web PID web - `;
const ERR = `<27>1 TIME HOST web PID web - `;

/** What was sent, without what differs from machine to machine. */
function plain(text: string): string {
	return text.replace(/1 \d{4}-\S+Z \S+ web \d+ /g, "1 TIME HOST web PID ");
}

async function sendTo(target: SyslogTarget): Promise<void> {
	const log = await openSyslogLog(target);
	await log.write("stdout", Buffer.from("one\ntw"));
	await log.write("stdout", Buffer.from("o\n"));
	await log.write("stderr", Buffer.from("bad"));
	await log.close();
}

test("the forms of a message", () => {
	const entry = { stream: "stdout", line: "hello", time: new Date("2026-11-01T09:08:07.123Z") } as const;
	const form = (format: SyslogTarget["format"], transport: SyslogTarget["transport"] = "tcp") =>
		syslogMessage(entry, { ...TARGET, format, transport }, { host: "box", pid: 7 });
	const day = /^<30>Nov ( 1|\d\d) \d\d:08:07 /;
	expect(form("")).toMatch(day);
	expect(form("").replace(day, "")).toBe("web[7]: hello\n");
	expect(form("rfc3164").replace(day, "")).toBe("box web[7]: hello\n");
	expect(form("rfc5424")).toBe("<30>1 2026-11-01T09:08:07Z box web 7 web - hello\n");
	expect(form("rfc5424micro")).toBe("<30>1 2026-11-01T09:08:07.123000Z box web 7 web - hello\n");
	expect(form("rfc5424", "tcp+tls")).toBe("49 <30>1 2026-11-01T09:08:07Z box web 7 web - hello\n");
});

test("lines go over TCP and a unix stream, each whole, streams by severity", async () => {
	for (const transport of ["tcp", "unix"] as const) {
		const { promise: received, resolve } = Promise.withResolvers<string>();
		const server = createServer((socket) => {
			let text = "";
			socket.on("data", (chunk) => {
				text += chunk;
			});
			socket.on("end", () => resolve(text));
		});
		const path = join(root, "stream");
		await new Promise<void>((done) =>
			server.listen(transport === "unix" ? { path } : { port: 0, host: "127.0.0.1" }, done),
		);
		const address = transport === "unix" ? path : `127.0.0.1:${(server.address() as AddressInfo).port}`;
		await sendTo({ ...TARGET, transport, address });
		expect(plain(await received)).toBe(`${OUT}one\n${OUT}two\n${ERR}bad\n`);
		server.close();
	}
});

test("lines go over UDP, one datagram each", async () => {
	const server = createSocket("udp4");
	const messages: string[] = [];
	server.on("message", (message) => messages.push(plain(message.toString())));
	await new Promise<void>((done) => server.bind(0, "127.0.0.1", done));
	await sendTo({ ...TARGET, transport: "udp", address: `127.0.0.1:${server.address().port}` });
	for (let tries = 0; messages.length < 3 && tries < 100; tries++) await Bun.sleep(5);
	expect(messages).toEqual([`${OUT}one\n`, `${OUT}two\n`, `${ERR}bad\n`]);
	server.close();
});

test("lines go over unix datagrams", async () => {
	const address = join(root, "datagrams");
	const server = receiveDatagrams(address);
	await sendTo({ ...TARGET, transport: "unixgram", address });
	const messages = Array.from({ length: 4 }, () => server.next()?.toString());
	expect(messages.map((one) => one && plain(one))).toEqual([`${OUT}one\n`, `${OUT}two\n`, `${ERR}bad\n`, undefined]);
	server.close();
});

test("a daemon that cannot be reached is refused with the reason", async () => {
	const server = createServer();
	await new Promise<void>((done) => server.listen({ port: 0, host: "127.0.0.1" }, done));
	const address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
	await new Promise<void>((done) => server.close(() => done()));
	expect(openSyslogLog({ ...TARGET, address })).rejects.toThrow(`dial tcp ${address}: connect: connection refused`);
	const path = join(root, "none");
	expect(openSyslogLog({ ...TARGET, transport: "unix", address: path })).rejects.toThrow("no such file");
});
