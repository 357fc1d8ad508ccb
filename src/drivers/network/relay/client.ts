import { connect, type Socket } from "node:net";
import { createInterface } from "node:readline";
import { EngineError } from "../../../shared/errors.ts";
import { formatIp } from "../../../shared/ip.ts";
import type { Logger } from "../../../shared/log.ts";
import type { PortRelay, RelayedPort } from "../driver.ts";
import type { Change, Done, PortLine } from "./protocol.ts";

const RETRY_MS = 100;
const MAX_RETRY_MS = 10_000;

const REASONS: Record<string, string> = {
	EADDRINUSE: "address already in use",
	EADDRNOTAVAIL: "cannot assign requested address",
	EACCES: "permission denied",
};

/** The daemon's side: knows what shall be open, and says it whole again to a relay that has come anew. */
export function createPortRelay(path: string, log: Logger): PortRelay {
	return new RelayClient(path, log);
}

interface Waiting {
	resolve(done: Done): void;
	reject(error: Error): void;
}

class RelayClient implements PortRelay {
	private readonly wanted = new Set<RelayedPort>();
	private socket: Socket | undefined;
	private waiting: Waiting[] = [];
	private retry: ReturnType<typeof setTimeout> | undefined;
	private retryMs = RETRY_MS;
	private closed = false;

	constructor(
		private readonly path: string,
		private readonly log: Logger,
	) {}

	async open(ports: readonly RelayedPort[]): Promise<void> {
		await this.change(ports, []);
	}

	async shut(ports: readonly RelayedPort[]): Promise<void> {
		await this.change([], ports);
	}

	async change(add: readonly RelayedPort[], drop: readonly RelayedPort[]): Promise<void> {
		if (add.length + drop.length === 0) return;
		for (const port of drop) this.forget(port);
		for (const port of add) this.wanted.add(port);
		// Before there is a relay, or while there is none: it is told all when it comes.
		if (!this.socket) {
			this.connectSoon(0);
			return;
		}
		const done = await this.send({ whole: false, add: add.map(lineOf), drop: drop.map(lineOf) }).catch(() => undefined);
		const [fault] = done?.faults ?? [];
		if (!fault) return;
		for (const port of add) this.forget(port);
		throw new EngineError("conflict", REASONS[fault.code] ?? fault.code);
	}

	keep(ports: readonly RelayedPort[]): void {
		this.wanted.clear();
		for (const port of ports) this.wanted.add(port);
		this.connectSoon(0);
	}

	close(): void {
		this.closed = true;
		clearTimeout(this.retry);
		this.socket?.destroy();
	}

	private connectSoon(ms: number): void {
		clearTimeout(this.retry);
		if (this.closed || this.socket) return;
		this.retry = setTimeout(() => this.connect(), ms);
		this.retry.unref();
	}

	private connect(): void {
		const socket = connect({ path: this.path });
		socket.once("connect", () => {
			this.socket = socket;
			this.retryMs = RETRY_MS;
			this.sayAll();
		});
		const answers = createInterface({ input: socket });
		answers.on("line", (line) => this.waiting.shift()?.resolve(JSON.parse(line) as Done));
		// "close" follows. The interface tells of its input's errors too.
		for (const each of [socket, answers]) each.on("error", () => {});
		socket.on("close", () => {
			if (this.socket === socket) this.socket = undefined;
			for (const { reject } of this.waiting.splice(0)) reject(new Error("the relay has gone away"));
			this.connectSoon(this.retryMs);
			this.retryMs = Math.min(2 * this.retryMs, MAX_RETRY_MS);
		});
		socket.unref();
	}

	private sayAll(): void {
		this.send({ whole: true, add: [...this.wanted].map(lineOf), drop: [] })
			.then(({ faults }) => {
				for (const { port, code } of faults) this.log.warn("published port not open by IPv6", { ...port, code });
			})
			.catch(() => {
				// The connection has gone: the next one says it again.
			});
	}

	private send(change: Change): Promise<Done> {
		return new Promise((resolve, reject) => {
			if (!this.socket) return reject(new Error("no relay"));
			this.waiting.push({ resolve, reject });
			this.socket.write(`${JSON.stringify(change)}\n`);
		});
	}

	/** By value: after a restart the port is another object. */
	private forget(port: RelayedPort): void {
		for (const known of this.wanted) {
			const same = known.protocol === port.protocol && known.hostPort === port.hostPort;
			if (same && known.hostAddress === port.hostAddress && known.address === port.address) this.wanted.delete(known);
		}
	}
}

function lineOf({ protocol, hostAddress, hostPort, address, port }: RelayedPort): PortLine {
	return { protocol, hostAddress: formatIp(hostAddress), hostPort, address: formatIp(address), port };
}
