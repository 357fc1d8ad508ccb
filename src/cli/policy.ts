import type {
	DeniedFlowReply,
	ExplanationReply,
	PolicyChangeReply,
	PolicyReply,
} from "../api/foredeck/policies/schema.ts";
import { UsageError } from "../shared/usage-error.ts";
import { formatTable } from "./table.ts";

export const POLICY_USAGE = `usage: foredeck policy apply FILE [--dry-run] [--json]
       foredeck policy list [--json]
       foredeck policy show NAME [--json]
       foredeck policy delete NAME
       foredeck policy explain FROM TO[:PORT][/tcp|udp|icmp] [--json]
       foredeck policy log [-f] [--json]
       foredeck policy schema
(each takes daemon flags too, --host among them, to find the engine)`;

const FLAGS = ["--dry-run", "--json", "-f", "--follow"];

type Print = (line: string) => void;

/** One command's words and flags, and where the engine is. */
interface Call {
	readonly words: readonly string[];
	readonly flags: ReadonlySet<string>;
	readonly host: string;
	readonly print: Print;
}

/** The words and flags that are this command's own; the rest is for finding the daemon. */
export function splitPolicyArguments(argv: readonly string[]): { own: string[]; daemon: string[] } {
	const own: string[] = [];
	const daemon: string[] = [];
	for (let at = 0; at < argv.length; at++) {
		const word = argv[at] ?? "";
		if (!word.startsWith("-") || word === "-" || FLAGS.includes(word)) own.push(word);
		else if (word.includes("=") || argv[at + 1] === undefined) daemon.push(word);
		else daemon.push(word, argv[++at] ?? "");
	}
	return { own, daemon };
}

/** Asks the daemon at `host` and prints. `explain` of a flow that is denied is exit code 1. */
export async function runPolicy(argv: readonly string[], host: string, print: Print): Promise<number> {
	const [command = "", ...words] = argv.filter((word) => !FLAGS.includes(word));
	const flags = new Set(argv.filter((word) => FLAGS.includes(word)));
	const known = COMMANDS[command];
	if (known?.words !== words.length) throw new UsageError(POLICY_USAGE);
	const stray = [...flags].find((flag) => !known.flags.includes(flag));
	if (stray) throw new UsageError(`policy ${command} takes no ${stray}\n${POLICY_USAGE}`);
	return known.run({ words, flags, host, print });
}

const COMMANDS: Readonly<
	Record<string, { words: number; flags: readonly string[]; run(call: Call): Promise<number> }>
> = {
	apply: { words: 1, flags: ["--dry-run", "--json"], run: apply },
	list: { words: 0, flags: ["--json"], run: list },
	show: { words: 1, flags: ["--json"], run: show },
	delete: { words: 1, flags: [], run: remove },
	explain: { words: 2, flags: ["--json"], run: explain },
	log: { words: 0, flags: ["--json", "-f", "--follow"], run: log },
	schema: { words: 0, flags: [], run: schema },
};

async function apply({ words: [file = ""], flags, host, print }: Call): Promise<number> {
	const { readPolicyFile } = await import("./policy-file.ts");
	const body = JSON.stringify(readPolicyFile(file));
	const dryRun = flags.has("--dry-run");
	const reply = await ask(host, "POST", `/foredeck/v1/policies?dryRun=${dryRun ? 1 : 0}`, body);
	const changes = (await reply.json()) as PolicyChangeReply;
	if (flags.has("--json")) print(JSON.stringify(changes, undefined, 2));
	else for (const change of changes) print(changeLine(change, dryRun));
	return 0;
}

function changeLine({ name, change, sandboxes, unenforced }: PolicyChangeReply[number], dryRun: boolean): string {
	const about = sandboxes.length > 0 ? sandboxes.join(", ") : "no running container";
	const beyond = unenforced.map(({ container, why }) => `; CANNOT BE ENFORCED on ${container}: ${why}`).join("");
	return `${name} ${dryRun && change !== "unchanged" ? `would be ${change}` : change}: ${about}${beyond}`;
}

async function list({ flags, host, print }: Call): Promise<number> {
	const policies = (await (await ask(host, "GET", "/foredeck/v1/policies")).json()) as PolicyReply[];
	if (flags.has("--json")) print(JSON.stringify(policies, undefined, 2));
	else print(formatTable([["NAME", "EGRESS", "INGRESS", "RULES", "SANDBOXES", "DENIED"], ...policies.map(row)]));
	return 0;
}

function row(reply: PolicyReply): string[] {
	const { name, default: defaults, rules = [] } = reply.policy;
	const { sandboxes, unenforced } = reply;
	const names = [...sandboxes, ...unenforced.map(({ container }) => `${container} (NOT ENFORCED)`)].join(", ") || "-";
	return [
		name,
		defaults?.egress ?? "allow",
		defaults?.ingress ?? "allow",
		`${rules.length}`,
		names,
		`${denied(reply)}`,
	];
}

function denied({ policy, counts }: PolicyReply): number {
	const denies = ({ rule }: { rule: number | string }) =>
		typeof rule === "string" || (policy.rules?.[rule] as { action?: string } | undefined)?.action === "deny";
	return counts.filter(denies).reduce((sum, { packets }) => sum + packets, 0);
}

async function show({ words: [name = ""], flags, host, print }: Call): Promise<number> {
	const path = `/foredeck/v1/policies/${encodeURIComponent(name)}`;
	const reply = (await (await ask(host, "GET", path)).json()) as PolicyReply;
	if (flags.has("--json")) {
		print(JSON.stringify(reply, undefined, 2));
		return 0;
	}
	const { stringify } = await import("yaml");
	print(stringify(reply.policy).trimEnd());
	print(`# about: ${reply.sandboxes.join(", ") || "no running container"}`);
	for (const { container, why } of reply.unenforced) print(`# NOT ENFORCED on ${container}: ${why}`);
	for (const { rule, packets, bytes } of reply.counts) {
		const what = typeof rule === "number" ? `rules[${rule}]` : `default ${rule}`;
		print(`# ${what}: ${packets} packets, ${bytes} bytes`);
	}
	return 0;
}

async function remove({ words: [name = ""], host, print }: Call): Promise<number> {
	await ask(host, "DELETE", `/foredeck/v1/policies/${encodeURIComponent(name)}`);
	print(`${name} deleted`);
	return 0;
}

async function explain({ words: [from = "", to = ""], flags, host, print }: Call): Promise<number> {
	const query = new URLSearchParams({ from, to });
	const reply = await ask(host, "GET", `/foredeck/v1/policy-decision?${query}`);
	const explanation = (await reply.json()) as ExplanationReply;
	if (flags.has("--json")) print(JSON.stringify(explanation, undefined, 2));
	else for (const line of explanationLines(explanation)) print(line);
	return explanation.allowed ? 0 : 1;
}

/** `web -> db:5432/tcp: denied`, then a line for each end and note. */
export function explanationLines({ from, to, port, protocol, allowed, decisions, notes }: ExplanationReply): string[] {
	const service = `${port === undefined ? "" : `:${port}`}${protocol === undefined ? "" : `/${protocol}`}`;
	const lines = decisions.map(({ direction, action, policy, rule, partly, over }) => {
		const end = `${direction === "egress" ? `out of ${from}` : `into ${to}`}${over ? ` (${over})` : ""}`;
		const except = partly.map((one) => `${one.action} by ${one.policy} rules[${one.rule}]`).join(", ");
		return `  ${end}: ${action} by ${deciderOf(policy, rule)}${except ? `; for some ports or protocols: ${except}` : ""}`;
	});
	return [
		`${from} -> ${to}${service}: ${allowed ? "allowed" : "denied"}`,
		...lines,
		...notes.map((note) => `  note: ${note}`),
	];
}

function deciderOf(policy: string | undefined, rule: number | undefined): string {
	if (policy === undefined) return "no policy";
	return rule === undefined ? `${policy}, its default` : `${policy} rules[${rule}]`;
}

async function log({ flags, host, print }: Call): Promise<number> {
	const follow = flags.has("-f") || flags.has("--follow");
	const reply = await ask(host, "GET", `/foredeck/v1/denied-flows?follow=${follow ? 1 : 0}`);
	for await (const line of linesOf(reply)) {
		print(flags.has("--json") ? line : deniedLine(JSON.parse(line) as DeniedFlowReply));
	}
	return 0;
}

/** `2026-01-01T00:00:00.000Z web egress 192.0.2.1:443/tcp denied by lock, its default (3)` */
function deniedLine(flow: DeniedFlowReply): string {
	const { sandbox, direction, peer, port, protocol, policy, rule, count, last } = flow;
	const service = protocol === "dns" ? " (name)" : `${port === undefined ? "" : `:${port}`}/${protocol}`;
	const decider = deciderOf(policy, typeof rule === "number" ? rule : undefined);
	return `${new Date(last).toISOString()} ${sandbox} ${direction} ${peer}${service} denied by ${decider} (${count})`;
}

async function schema({ host, print }: Call): Promise<number> {
	const reply = await ask(host, "GET", "/foredeck/v1/policy-schema");
	print(JSON.stringify(await reply.json(), undefined, 2));
	return 0;
}

async function* linesOf(reply: Response): AsyncIterable<string> {
	const decoder = new TextDecoder();
	let rest = "";
	for await (const chunk of reply.body ?? []) {
		const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
		rest = lines.pop() ?? "";
		yield* lines.filter((line) => line !== "");
	}
}

async function ask(host: string, method: string, path: string, body?: string): Promise<Response> {
	const unix = host.startsWith("unix://") ? host.slice("unix://".length) : undefined;
	const url = unix === undefined ? host.replace(/^tcp:/, "http:") : "http://localhost";
	const headers = { "content-type": "application/json" };
	const reply = await fetch(`${url}${path}`, { method, ...(unix && { unix }), ...(body && { body, headers }) });
	if (!reply.ok) throw new Error(messageIn(await reply.text()));
	return reply;
}

function messageIn(text: string): string {
	try {
		return (JSON.parse(text) as { message?: string }).message ?? text;
	} catch {
		return text;
	}
}
