import { createSocket } from "node:dgram";
import { readFileSync } from "node:fs";
import { connect as connectStream, isIP, isIPv6, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import type { SyslogTarget } from "../../../shared/log-target.ts";
import { openDatagram } from "../../../sys/linux/datagram.ts";

/** Something that takes messages. */
export interface SyslogConnection {
	/** Settles when the next one may come. A message is lost when the connection is. */
	send(message: string): Promise<void> | undefined;
	/** What was sent goes out first. */
	close(): Promise<void>;
	readonly alive: boolean;
}

const LOCAL_SOCKETS = ["/dev/log", "/var/run/syslog", "/var/run/log"];
const CONNECT_MS = 10_000;

/** Throws docker's text when it cannot be reached. */
export async function connectSyslog(target: SyslogTarget): Promise<SyslogConnection> {
	const { address, transport } = target;
	switch (transport) {
		case "local":
			return connectLocal();
		case "unixgram":
			return datagrams(address);
		case "unix":
			return stream(connectStream({ path: address }), "connect", `dial unix ${address}`);
		case "udp":
			return udp(address);
		case "tcp":
			return stream(connectStream(hostAndPort(address)), "connect", `dial tcp ${address}`);
		case "tcp+tls":
			return stream(connectTls(tlsOptions(target)), "secureConnect", `dial tcp ${address}`);
	}
}

async function connectLocal(): Promise<SyslogConnection> {
	for (const path of LOCAL_SOCKETS) {
		try {
			return datagrams(path);
		} catch {
			// a stream, or not there
		}
		try {
			return await stream(connectStream({ path }), "connect", path);
		} catch {
			// the next one
		}
	}
	throw new Error("Unix syslog delivery error");
}

function datagrams(path: string): SyslogConnection {
	const socket = openDatagram(path);
	return {
		alive: true,
		send: (message) => socket.send(Buffer.from(message)),
		close: async () => socket.close(),
	};
}

async function udp(address: string): Promise<SyslogConnection> {
	const { host, port } = hostAndPort(address);
	const socket = createSocket(isIPv6(host) ? "udp6" : "udp4");
	// A receiver that is not there is not an error of ours.
	socket.on("error", () => {});
	await new Promise<void>((resolve, reject) => {
		socket.once("error", (error) => reject(new Error(`dial udp ${address}: ${error.message}`)));
		socket.connect(port, host, resolve);
	});
	return {
		alive: true,
		send: (message) => new Promise((resolve) => socket.send(message, () => resolve())),
		close: () => new Promise((resolve) => socket.close(() => resolve())),
	};
}

async function stream(socket: Socket, ready: "connect" | "secureConnect", what: string): Promise<SyslogConnection> {
	await new Promise<void>((resolve, reject) => {
		const fail = (why: string) => {
			socket.destroy();
			reject(new Error(`${what}: ${why}`));
		};
		const timer = setTimeout(() => fail("i/o timeout"), CONNECT_MS);
		socket.once("error", (error: NodeJS.ErrnoException) => {
			clearTimeout(timer);
			fail(REASONS[error.code ?? ""] ?? error.message);
		});
		socket.once(ready, () => {
			clearTimeout(timer);
			resolve();
		});
	});
	socket.removeAllListeners("error");
	// A broken connection is seen as not alive.
	socket.on("error", () => {});
	socket.resume();
	return {
		get alive() {
			return socket.writable;
		},
		send: (message) => (socket.writable && !socket.write(message) ? drained(socket) : undefined),
		close: () =>
			new Promise((resolve) => {
				if (socket.destroyed) return resolve();
				socket.once("close", () => resolve());
				socket.end(() => socket.destroy());
			}),
	};
}

const REASONS: Record<string, string> = {
	ECONNREFUSED: "connect: connection refused",
	ENOENT: "connect: no such file or directory",
	EHOSTUNREACH: "connect: no route to host",
};

function drained(socket: Socket): Promise<void> {
	return new Promise((resolve) => {
		socket.once("drain", resolve);
		socket.once("close", () => resolve());
	});
}

function tlsOptions({ address, tls }: SyslogTarget) {
	const file = (path: string | undefined) => (path === undefined ? undefined : readFileSync(path));
	const { host, port } = hostAndPort(address);
	return {
		host,
		port,
		// An address is no server name: the certificate is checked against what was connected to.
		...(isIP(host) ? {} : { servername: host }),
		ca: file(tls?.ca),
		cert: file(tls?.cert),
		key: file(tls?.key),
		rejectUnauthorized: !tls?.skipVerify,
	};
}

function hostAndPort(address: string): { host: string; port: number } {
	const at = address.lastIndexOf(":");
	return { host: address.slice(0, at).replace(/^\[|\]$/g, ""), port: Number(address.slice(at + 1)) };
}
