/** A reply read to its end. */
export interface Reply {
	readonly status: number;
	readonly body: Buffer;
}

/**
 * One keep-alive HTTP/1.1 connection over a unix socket, made by hand so that the client's own cost stays small against what is measured.
 * One request at a time.
 */
export interface Connection {
	/** `body` is sent as JSON. An `Upgrade: tcp` header is added with `upgrade`: the reply's body is then everything until the server closes. */
	request(method: string, path: string, options?: { body?: unknown; upgrade?: boolean }): Promise<Reply>;
	close(): void;
}

export async function connect(socketPath: string): Promise<Connection> {
	const reader = createReader();
	const socket = await Bun.connect({
		unix: socketPath,
		socket: {
			data: (_socket, chunk) => reader.push(Buffer.from(chunk)),
			close: () => reader.end(new Error(`${socketPath} closed the connection`)),
			error: (_socket, error) => reader.end(error),
		},
	});
	return {
		async request(method, path, { body, upgrade = false } = {}) {
			const text = body === undefined ? "" : JSON.stringify(body);
			const type = body === undefined ? "" : "Content-Type: application/json\r\n";
			const upgrading = upgrade ? "Connection: Upgrade\r\nUpgrade: tcp\r\n" : "";
			const length = body === undefined && method === "GET" ? "" : `Content-Length: ${Buffer.byteLength(text)}\r\n`;
			const reply = reader.expect(method === "HEAD");
			socket.write(`${method} ${path} HTTP/1.1\r\nHost: localhost\r\n${type}${upgrading}${length}\r\n${text}`);
			return await reply;
		},
		close: () => void socket.end(),
	};
}

/** Asks once on a connection of its own; throws with the engine's message on a status of 400 or more. */
export async function ask(socketPath: string, method: string, path: string, body?: unknown): Promise<unknown> {
	const connection = await connect(socketPath);
	try {
		return parse(await connection.request(method, path, { body }), `${method} ${path}`);
	} finally {
		connection.close();
	}
}

/** Throws with the engine's message on a status of 400 or more. */
export function succeed({ status, body }: Reply, what: string): void {
	if (status >= 400) throw new Error(`${what}: ${status} ${body}`);
}

/** The reply's JSON (undefined without a body). Throws as `succeed`. */
export function parse(reply: Reply, what: string): unknown {
	succeed(reply, what);
	const { body } = reply;
	return body.length === 0 ? undefined : JSON.parse(body.toString());
}

type Framing = { kind: "length"; left: number } | { kind: "chunked" } | { kind: "close" };

function createReader() {
	let buffered: Buffer = Buffer.alloc(0);
	let waiting: { resolve(reply: Reply): void; reject(error: Error): void; head: boolean } | undefined;
	let status = 0;
	let framing: Framing | undefined;
	let parts: Buffer[] = [];

	const finish = () => {
		const { resolve } = waiting ?? {};
		const reply = { status, body: parts.length === 1 && parts[0] ? parts[0] : Buffer.concat(parts) };
		waiting = undefined;
		framing = undefined;
		parts = [];
		resolve?.(reply);
	};
	const readHead = () => {
		const end = buffered.indexOf("\r\n\r\n");
		if (end < 0) return false;
		const head = buffered.toString("latin1", 0, end);
		buffered = buffered.subarray(end + 4);
		status = Number(head.slice(9, 12));
		framing = framingOf(head, status, waiting?.head ?? false);
		return true;
	};
	const take = (length: number) => {
		parts.push(buffered.subarray(0, length));
		buffered = buffered.subarray(length);
	};
	const advance = () => {
		if (!framing && !(waiting && readHead())) return;
		if (framing?.kind === "close") take(buffered.length);
		if (framing?.kind === "length") {
			const length = Math.min(framing.left, buffered.length);
			take(length);
			framing.left -= length;
			if (framing.left === 0) finish();
		}
		while (framing?.kind === "chunked") {
			const line = buffered.indexOf("\r\n");
			if (line < 0) return;
			const size = Number.parseInt(buffered.toString("latin1", 0, line), 16);
			if (buffered.length < line + 2 + size + 2) return;
			buffered = buffered.subarray(line + 2);
			take(size);
			buffered = buffered.subarray(2);
			if (size === 0) finish();
		}
	};
	return {
		push(chunk: Buffer) {
			buffered = buffered.length === 0 ? chunk : Buffer.concat([buffered, chunk]);
			advance();
		},
		end(error: Error) {
			if (framing?.kind === "close") finish();
			else waiting?.reject(error);
			waiting = undefined;
		},
		expect(head: boolean): Promise<Reply> {
			const { promise, resolve, reject } = Promise.withResolvers<Reply>();
			waiting = { resolve, reject, head };
			return promise;
		},
	};
}

/** RFC 9112 section 6.3, as far as an engine's replies go. */
function framingOf(head: string, status: number, headRequest: boolean): Framing {
	if (status === 101) return { kind: "close" };
	if (headRequest || status === 204 || status === 304) return { kind: "length", left: 0 };
	if (/\r\ntransfer-encoding: *chunked/i.test(head)) return { kind: "chunked" };
	const length = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1];
	return length === undefined ? { kind: "close" } : { kind: "length", left: Number(length) };
}
