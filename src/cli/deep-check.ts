import { UsageError } from "../shared/usage-error.ts";
import { readRegistryCredentials, registryConfigHeader } from "./registry-credentials.ts";
import { formatTable } from "./table.ts";

interface LayerLine {
	readonly diffId?: string;
	readonly images?: readonly string[];
	readonly status?: string;
	readonly detail?: string;
	readonly error?: string;
}

/**
 * `doctor --deep [--repair] [--json]`: asks the daemon at `host` to read every layer again and prints a line for each; exit code 1 when one is
 * damaged and stays so.
 */
export async function runDeepCheck(
	argv: readonly string[],
	host: string,
	print: (line: string) => void,
): Promise<number> {
	const wrong = argv.find((argument) => !["--deep", "--repair", "--json"].includes(argument));
	if (wrong !== undefined)
		throw new UsageError(`unknown argument ${wrong}: usage is foredeck doctor --deep [--repair] [--json]`);
	const repair = argv.includes("--repair") ? "1" : "0";
	const { url, unix } = endpoint(host);
	// A repair fetches from where the layers came: with the logins of whoever asks for it, as docker's own client.
	const headers =
		repair === "1" ? { "X-Registry-Config": registryConfigHeader(await readRegistryCredentials()) } : undefined;
	const reply = await fetch(`${url}/foredeck/v1/images/check?repair=${repair}`, { method: "POST", unix, headers });
	const text = await reply.text();
	if (!reply.ok) throw new Error(`cannot check layers: ${messageIn(text)}`);
	const lines = text.split("\n").filter((line) => line.trim() !== "");
	const layers = lines.map((line) => JSON.parse(line) as LayerLine);
	const broken = layers.find(({ error }) => error !== undefined);
	if (broken) throw new Error(`cannot check layers: ${broken.error}`);
	print(argv.includes("--json") ? JSON.stringify(layers, undefined, 2) : formatTable(layers.map(row)));
	return layers.some(({ status }) => status === "damaged") ? 1 : 0;
}

function row({ status = "", diffId = "", images = [], detail }: LayerLine): string[] {
	return [status, diffId.slice(7, 19), detail ? `${images.join(", ")}: ${detail}` : images.join(", ")];
}

function endpoint(host: string): { url: string; unix?: string } {
	if (host.startsWith("unix://")) return { url: "http://localhost", unix: host.slice("unix://".length) };
	return { url: host.replace(/^tcp:/, "http:") };
}

function messageIn(text: string): string {
	try {
		return (JSON.parse(text) as { message?: string }).message ?? text;
	} catch {
		return text;
	}
}
