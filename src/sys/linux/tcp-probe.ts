import { readFileSync } from "node:fs";
import type { IpAddress } from "../../shared/ip.ts";
import { SyscallError } from "./libc.ts";
import { ProbeSocket } from "./probe-socket.ts";

const SOCK_STREAM = 1;
const IPPROTO_TCP = 6;
const LISTEN = "0A";

/** `nc -z ADDRESS PORT`: connects and closes. ECONNREFUSED: nobody listens; ETIMEDOUT: no answer in time. */
export function connectTcp(
	address: IpAddress,
	port: number,
	timeoutMs: number,
): { readonly ms: number } | { readonly error: string } {
	using socket = new ProbeSocket(
		{ type: SOCK_STREAM, protocol: IPPROTO_TCP, family: typeof address === "bigint" ? 6 : 4 },
		timeoutMs,
	);
	const begin = performance.now();
	try {
		socket.connect(address, port);
		return { ms: performance.now() - begin };
	} catch (error) {
		if (!(error instanceof SyscallError)) throw error;
		// 115, EINPROGRESS: the socket's own time-out.
		return { error: error.errno === 115 ? "ETIMEDOUT" : error.code };
	}
}

/** Addresses on which the calling thread's network namespace listens at this TCP port: `ss -ltn`. 0.0.0.0 and :: are all addresses. */
export function listeners(port: number): string[] {
	return ["tcp", "tcp6"].flatMap((table) => {
		try {
			return listenersIn(readFileSync(`/proc/thread-self/net/${table}`, "utf8"), port);
		} catch {
			return [];
		}
	});
}

/** Of the text of /proc/net/tcp or tcp6: addresses are words in host order. */
export function listenersIn(table: string, port: number): string[] {
	const found = table.split("\n").flatMap((line) => {
		const [, local = "", , state] = line.trim().split(/\s+/);
		const [address = "", hexPort = ""] = local.split(":");
		return state === LISTEN && Number.parseInt(hexPort, 16) === port ? [addressOf(address)] : [];
	});
	return [...new Set(found)];
}

function addressOf(hex: string): string {
	const words = hex.match(/.{8}/g) ?? [];
	const bytes = words.flatMap((word) => (word.match(/../g) ?? []).map((byte) => Number.parseInt(byte, 16)).reverse());
	if (bytes.length === 4) return bytes.join(".");
	if (bytes.every((byte) => byte === 0)) return "::";
	if (bytes.slice(0, 12).every((byte, at) => byte === (at < 10 ? 0 : 255))) return bytes.slice(12).join(".");
	if (bytes.slice(0, 15).every((byte) => byte === 0) && bytes[15] === 1) return "::1";
	return bytes.map((byte, at) => byte.toString(16).padStart(2, "0") + (at % 2 && at < 15 ? ":" : "")).join("");
}
