import { chmodSync, chownSync, mkdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { connect } from "node:net";
import { dirname } from "node:path";
import { EngineError } from "../shared/errors.ts";

/** Where to listen. */
export type Address = { readonly path: string } | { readonly host: string; readonly port: number };

/** TLS material in PEM; clients must show a certificate signed by `ca`. */
export interface TlsFiles {
	readonly ca: string;
	readonly cert: string;
	readonly key: string;
}

/** Reads `unix:///path` or `tcp://host:port`. TCP beyond loopback needs TLS: the API is root on this machine. */
export function parseHost(host: string, tls: boolean): Address {
	const path = /^unix:\/\/(\/.+)$/.exec(host)?.[1];
	if (path) return { path };
	const match = /^tcp:\/\/(\[[0-9a-fA-F:.]+\]|[^:/]+):(\d{1,5})\/?$/.exec(host);
	if (!match?.[1])
		throw new EngineError("invalid", `cannot listen on ${host}: must be unix:///path or tcp://host:port`);
	const address = { host: match[1].replace(/^\[|\]$/g, ""), port: Number(match[2]) };
	if (!tls && !isLoopback(address.host)) {
		throw new EngineError("invalid", `cannot listen on ${host}: beyond loopback only with TLS client certificates`);
	}
	return address;
}

function isLoopback(host: string): boolean {
	return host === "localhost" || host === "::1" || /^127\.\d+\.\d+\.\d+$/.test(host);
}

/** Makes the way free for a unix socket: its folder, and a stale socket removed only if nobody answers on it. */
export async function prepareSocket(path: string): Promise<void> {
	mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
	const found = statSync(path, { throwIfNoEntry: false });
	if (!found) return;
	if (!found.isSocket())
		throw new EngineError("invalid", `cannot listen on unix://${path}: a file that is no socket is there`);
	if (await answers(path))
		throw new EngineError("conflict", `cannot listen on unix://${path}: another process listens there`);
	rmSync(path);
}

function answers(path: string): Promise<boolean> {
	const { promise, resolve } = Promise.withResolvers<boolean>();
	const socket = connect({ path });
	socket.once("connect", () => resolve(true));
	socket.once("error", () => resolve(false));
	return promise.finally(() => socket.destroy());
}

/** Owner and group docker may talk to the engine, nobody else. */
export function restrictSocket(path: string): void {
	const group = /^docker:[^:]*:(\d+):/m.exec(readFileSync("/etc/group", "utf8"))?.[1];
	// chown docker /run/foredeck.sock; only root can, and an engine run by a user has no need to
	if (group && process.getuid?.() === 0) chownSync(path, 0, Number(group));
	chmodSync(path, 0o660);
}
