import type { CheckReply } from "../api/foredeck/checks/schema.ts";
import type { NetworkStatusReply } from "../api/foredeck/network-status/schema.ts";
import { UsageError } from "../shared/usage-error.ts";
import { formatTable } from "./table.ts";

export const NETWORK_USAGE = `usage: foredeck network topology [--format text|json|dot|svg]
       foredeck network check A B [--port N] [--family 4|6] [--json]
       foredeck network status [--json]
(each takes daemon flags too, to find the engine)`;

const VALUED = ["--format", "--port", "--family"];

interface Parsed {
	readonly words: readonly string[];
	readonly options: Readonly<Record<string, string>>;
}

/** `network topology|check|status`: asks the daemon at `host` and prints. Exit code 1 for a check that fails and for leaks or faults. */
export async function runNetwork(
	argv: readonly string[],
	host: string,
	print: (line: string) => void,
): Promise<number> {
	const { words, options } = parse(argv);
	const [command, ...rest] = words;
	if (command === "topology" && rest.length === 0) return topology(options.format ?? "text", host, print);
	if (command === "check" && rest.length === 2) return check(rest, options, host, print);
	if (command === "status" && rest.length === 0) return status(options.json !== undefined, host, print);
	throw new UsageError(NETWORK_USAGE);
}

/** The words and options that are this command's own; the rest is for finding the daemon. */
export function splitArguments(argv: readonly string[]): { own: string[]; daemon: string[] } {
	const own: string[] = [];
	const daemon: string[] = [];
	for (let at = 0; at < argv.length; at++) {
		const word = argv[at] ?? "";
		if (!word.startsWith("-") || word === "--json" || /^--(format|port|family)=/.test(word)) own.push(word);
		else if (VALUED.includes(word)) own.push(word, argv[++at] ?? "");
		else if (word.includes("=") || argv[at + 1] === undefined) daemon.push(word);
		else daemon.push(word, argv[++at] ?? "");
	}
	return { own, daemon };
}

function parse(argv: readonly string[]): Parsed {
	const words: string[] = [];
	const options: Record<string, string> = {};
	for (let at = 0; at < argv.length; at++) {
		const word = argv[at] ?? "";
		const [name = "", value] = word.split("=", 2);
		if (name === "--json") options.json = "true";
		else if (VALUED.includes(name)) options[name.slice(2)] = value ?? argv[++at] ?? "";
		else words.push(word);
	}
	return { words, options };
}

async function topology(format: string, host: string, print: (line: string) => void): Promise<number> {
	if (!["text", "json", "dot", "svg"].includes(format))
		throw new UsageError(`unknown format ${format}\n${NETWORK_USAGE}`);
	const text = await ask(host, `/foredeck/v1/topology?format=${format}`);
	print(format === "json" ? JSON.stringify(JSON.parse(text), undefined, 2) : text.trimEnd());
	return 0;
}

async function check(
	[from, to]: readonly string[],
	{ port, family, json }: Readonly<Record<string, string>>,
	host: string,
	print: (line: string) => void,
): Promise<number> {
	if (port !== undefined && !/^\d{1,5}$/.test(port)) throw new UsageError(`invalid port ${port}\n${NETWORK_USAGE}`);
	if (family !== undefined && !/^[46]$/.test(family))
		throw new UsageError(`invalid family ${family}: it is 4 or 6\n${NETWORK_USAGE}`);
	const more = { ...(port !== undefined && { port: Number(port) }), ...(family && { family: Number(family) }) };
	const body = JSON.stringify({ from, to, ...more });
	const reply = JSON.parse(await ask(host, "/foredeck/v1/checks", body)) as CheckReply;
	if (json) {
		print(JSON.stringify(reply, undefined, 2));
	} else {
		print(formatTable(reply.steps.map(({ name, status, detail }) => [status, name, detail])));
		print(reply.ok ? reply.verdict : `FAILED: ${reply.verdict}`);
	}
	return reply.ok ? 0 : 1;
}

async function status(json: boolean, host: string, print: (line: string) => void): Promise<number> {
	const text = await ask(host, "/foredeck/v1/network-status");
	const found = JSON.parse(text) as NetworkStatusReply;
	print(json ? JSON.stringify(found, undefined, 2) : statusText(found));
	return found.leaks.length + found.faults.length > 0 ? 1 : 0;
}

export function statusText({ bridges, ports, leaks, faults }: NetworkStatusReply): string {
	const head = ["BRIDGE", "NETWORK", "STATE", "MTU", "SANDBOXES", "SENT", "RECEIVED", "DROPPED", "ERRORS"];
	const rows = bridges.map((one) => [
		one.name,
		one.network,
		one.up ? "up" : "down",
		...[one.mtu, one.sandboxes, one.sentBytes, one.receivedBytes, one.dropped, one.errors].map(String),
	]);
	return [
		formatTable([head, ...rows]),
		...(ports.length > 0 ? ["", "ports"] : []),
		...ports.map(({ container, published, active }) => `  ${container}  ${published}${active ? "" : "  NOT ACTIVE"}`),
		"",
		leaks.length === 0 ? "no leaks" : "leaks: what bears this instance's mark and no record owns",
		...leaks.map(({ kind, name }) => `  ${kind}  ${name}`),
		...(faults.length > 0 ? ["faults"] : []),
		...faults.map((fault) => `  ${fault}`),
	].join("\n");
}

/** The reply's text; throws with the daemon's words. A body makes it a POST. */
async function ask(host: string, path: string, body?: string): Promise<string> {
	const unix = host.startsWith("unix://") ? host.slice("unix://".length) : undefined;
	const url = unix === undefined ? host.replace(/^tcp:/, "http:") : "http://localhost";
	const headers = { "content-type": "application/json" };
	const init = { ...(unix && { unix }), ...(body && { method: "POST", body, headers }) };
	const reply = await fetch(`${url}${path}`, init).catch((cause: unknown) => {
		throw new Error(`cannot reach the engine at ${host}: is it running?`, { cause });
	});
	const text = await reply.text();
	if (!reply.ok) throw new Error(messageIn(text));
	return text;
}

function messageIn(text: string): string {
	try {
		return (JSON.parse(text) as { message?: string }).message ?? text;
	} catch {
		return text;
	}
}
