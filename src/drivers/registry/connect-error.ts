import { lookup } from "node:dns/promises";
import { connect, isIP } from "node:net";
import { messageOf } from "../../shared/errors.ts";
import { RegistryFailure } from "./failure.ts";

const UNKNOWN_AUTHORITY = new Set([
	"UNABLE_TO_VERIFY_LEAF_SIGNATURE",
	"SELF_SIGNED_CERT_IN_CHAIN",
	"DEPTH_ZERO_SELF_SIGNED_CERT",
	"UNABLE_TO_GET_ISSUER_CERT",
	"UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
]);
const PASSING = new Set([
	"ECONNRESET",
	"ECONNREFUSED",
	"EPIPE",
	"ETIMEDOUT",
	"ENETUNREACH",
	"EHOSTUNREACH",
	"EAI_AGAIN",
]);
const PROBE_MS = 2000;

/** Go's prefix of a failed exchange: `Get "https://host/v2/": `. The query stays out: signed addresses carry secrets there. */
export function exchangeName(method: string, url: URL): string {
	const verb = method.charAt(0) + method.slice(1).toLowerCase();
	return `${verb} "${url.origin}${url.pathname}"`;
}

/**
 * An exchange that got no (whole) answer, in the words of Go's client, which docker's users know. `probe`: find out by one more connection
 * whether a failed TLS handshake met plain HTTP.
 */
export async function connectFailure(
	error: unknown,
	method: string,
	url: URL,
	probe: boolean,
): Promise<RegistryFailure> {
	const code = codeOf(error);
	const text = await goText(error, code, url, probe);
	return new RegistryFailure(`${exchangeName(method, url)}: ${text}`, { transient: PASSING.has(code), cause: error });
}

async function goText(error: unknown, code: string, url: URL, probe: boolean): Promise<string> {
	if (UNKNOWN_AUTHORITY.has(code)) {
		return "tls: failed to verify certificate: x509: certificate signed by unknown authority";
	}
	switch (code) {
		case "ECONNREFUSED":
			return `dial tcp ${await addressOf(url)}: connect: connection refused`;
		case "ECONNRESET":
			return "connection reset by peer";
		case "ENOTFOUND":
			return `dial tcp: lookup ${url.hostname}: no such host`;
		case "CERT_HAS_EXPIRED":
		case "CERT_NOT_YET_VALID":
			return "tls: failed to verify certificate: x509: certificate has expired or is not yet valid";
		case "ERR_TLS_CERT_ALTNAME_INVALID":
			return `tls: failed to verify certificate: x509: certificate is not valid for ${url.hostname}`;
		case "EPROTO":
			if (probe && url.protocol === "https:" && (await speaksPlainHttp(url))) {
				return "http: server gave HTTP response to HTTPS client";
			}
			return "remote error: tls: handshake failure";
		default:
			return messageOf(error);
	}
}

function codeOf(error: unknown): string {
	const code = typeof error === "object" && error !== null ? (error as { code?: unknown }).code : undefined;
	return typeof code === "string" ? code : "";
}

/** `127.0.0.1:5000`; the name where it has no address. */
async function addressOf(url: URL): Promise<string> {
	const host = url.hostname.replace(/^\[|\]$/g, "");
	const port = portOf(url);
	const address =
		isIP(host) !== 0
			? host
			: await lookup(host).then(
					(found) => found.address,
					() => host,
				);
	return isIP(address) === 6 ? `[${address}]:${port}` : `${address}:${port}`;
}

/** The head of a TLS handshake that no server can accept; the line ends are for servers that read HTTP by lines. */
const BAD_HELLO = Uint8Array.from([0x16, 3, 1, 0, 5, 1, 0, 0, 1, 0, 0x0a, 0x0a]);

/**
 * Whether what listens there answers TLS in plain HTTP: a TLS server sends an alert. (Asked in HTTP, many a TLS server says in HTTP
 * that it is none.) Sends nothing of the real request.
 */
function speaksPlainHttp(url: URL): Promise<boolean> {
	return new Promise((resolve) => {
		const socket = connect(portOf(url), url.hostname.replace(/^\[|\]$/g, ""));
		const answer = (yes: boolean) => {
			socket.destroy();
			resolve(yes);
		};
		socket.setTimeout(PROBE_MS, () => answer(false));
		socket.on("connect", () => socket.write(BAD_HELLO));
		socket.on("data", (data: Buffer) => answer(data.toString("latin1").startsWith("HTTP/")));
		socket.on("error", () => answer(false));
		socket.on("close", () => answer(false));
	});
}

function portOf(url: URL): number {
	return Number(url.port) || (url.protocol === "https:" ? 443 : 80);
}
