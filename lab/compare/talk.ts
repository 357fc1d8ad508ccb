/** One request as both engines get it. */
export interface Step {
	readonly method: string;
	/** Below the version; `{ID}` stands for the Id of the last reply that had one, `{EXEC}` for an exec's. */
	readonly path: string;
	/** Sent as JSON; a string goes as it is. */
	readonly body?: unknown;
	/** `1.51` unless said otherwise; "": without a prefix. */
	readonly version?: string;
	readonly headers?: Readonly<Record<string, string>>;
	/** Its reply is of no interest: the step only prepares. */
	readonly quiet?: boolean;
}

export interface Reply {
	readonly status: number;
	readonly headers: Readonly<Record<string, string>>;
	/** Parsed where it is JSON. */
	readonly body: unknown;
}

const REPLY_WITHIN_MS = 20_000;
const HEADERS = ["content-type", "api-version", "x-docker-container-path-stat", "docker-experimental"];

/** Sends one request over a unix socket. A stream that does not end is cut after `cut` ms. */
export async function talk(socket: string, step: Step, cut = 3000): Promise<Reply> {
	const gone = new AbortController();
	const timer = setTimeout(() => gone.abort(), REPLY_WITHIN_MS);
	const raw = typeof step.body === "string" || step.body instanceof Uint8Array;
	const prefix = step.version === "" ? "" : `/v${step.version ?? "1.51"}`;
	const init = {
		method: step.method,
		unix: socket,
		signal: gone.signal,
		headers: { ...(step.body !== undefined && { "content-type": "application/json" }), ...step.headers },
		body: step.body === undefined ? undefined : raw ? step.body : JSON.stringify(step.body),
		redirect: "manual",
	};
	try {
		const reply = await fetch(`http://d${prefix}${step.path}`, init as RequestInit);
		const bytes = await beginning(reply, cut);
		const headers = HEADERS.map((name) => [name, reply.headers.get(name) ?? ""] as const);
		return {
			status: reply.status,
			headers: Object.fromEntries(headers.filter(([, value]) => value !== "")),
			body: parsed(bytes),
		};
	} catch (error) {
		return { status: 0, headers: {}, body: String(error) };
	} finally {
		clearTimeout(timer);
		gone.abort();
	}
}

async function beginning(reply: Response, cut: number): Promise<Buffer> {
	const reader = reply.body?.getReader();
	if (!reader) return Buffer.alloc(0);
	const late = Bun.sleep(cut).then(() => ({ done: true, value: undefined }));
	const chunks: Uint8Array[] = [];
	for (;;) {
		const { done, value } = await Promise.race([reader.read(), late]);
		if (value) chunks.push(value);
		if (done) break;
	}
	void reader.cancel().catch(() => {});
	return Buffer.concat(chunks);
}

function parsed(bytes: Buffer): unknown {
	const text = bytes.toString("utf8");
	try {
		return JSON.parse(text);
	} catch {
		const lines = text.split("\n").filter((line) => line !== "");
		if (lines.length > 1 && lines.every((line) => line.startsWith("{"))) {
			try {
				return lines.map((line) => JSON.parse(line));
			} catch {}
		}
		return text;
	}
}
