import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createServer, type Server } from "node:tls";
import type { SyslogTarget } from "../../../shared/log-target.ts";
import { openSyslogLog } from "./writer.ts";

const root = mkdtempSync(join(tmpdir(), "syslog-tls-"));
const cert = join(root, "cert.pem");
const key = join(root, "key.pem");
const received: string[] = [];
let server: Server;

beforeAll(async () => {
	const newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key];
	const names = ["-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"];
	const made = Bun.spawnSync(["openssl", "req", "-x509", ...newKey, "-out", cert, "-subj", "/CN=syslog", ...names]);
	expect(made.exitCode).toBe(0);
	const ours = readFileSync(cert);
	const options = { cert: ours, key: readFileSync(key), ca: ours, requestCert: true, rejectUnauthorized: false };
	server = createServer(options, (socket) => {
		socket.on("error", () => {});
		socket.on("data", (chunk) => received.push(`${socket.authorized} ${chunk}`));
	});
	await new Promise<void>((done) => server.listen({ port: 0, host: "127.0.0.1" }, done));
});
afterAll(() => {
	server.close();
	rmSync(root, { recursive: true });
});

async function sent(host: string, tls: SyslogTarget["tls"]): Promise<string> {
	received.length = 0;
	const address = `${host}:${(server.address() as AddressInfo).port}`;
	const log = await openSyslogLog({ transport: "tcp+tls", address, facility: 3, format: "", tag: "web", tls });
	await log.write("stdout", Buffer.from("hello\n"));
	await log.close();
	for (let tries = 0; received.length === 0 && tries < 200; tries++) await Bun.sleep(5);
	return received.join("");
}

test.each(["127.0.0.1", "localhost"])("lines go over TLS to %s, with a certificate of the client's", async (host) => {
	expect(await sent(host, { ca: cert, cert, key, skipVerify: false })).toMatch(/^true .*hello\n$/);
	expect(await sent(host, { skipVerify: true })).toMatch(/^false .*hello\n$/);
});

test("a server that nobody vouches for gets nothing", async () => {
	await expect(sent("127.0.0.1", { skipVerify: false })).rejects.toThrow(/^dial tcp 127.0.0.1:\d+: /);
	expect(received).toEqual([]);
});
