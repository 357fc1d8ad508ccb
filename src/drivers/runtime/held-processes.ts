import { closeSync } from "node:fs";
import { copyTerminal } from "../../sys/linux/copy-fd.ts";
import { ExitWitness } from "../../sys/linux/exit-witness.ts";
import type { HandedTerminal } from "./protocol.ts";

interface Held {
	readonly pid: number;
	/** A second fd of its terminal's master, ours. */
	readonly terminal?: number;
}

/** What the daemon holds of running processes for the time in which no supervisor is there: how they end, and their terminals, which would be hung up. */
export class HeldProcesses {
	private readonly held = new Map<string, Held>();
	private readonly witness = new ExitWitness();

	/** @param terminal where its master is open; nothing is held of one that is gone */
	hold(processId: string, pid: number, terminal: Omit<HandedTerminal, "processId"> | undefined): void {
		this.release(processId);
		this.witness.watch(pid);
		this.held.set(processId, { pid, terminal: terminal && copyQuietly(terminal.pid, terminal.fd) });
	}

	/** The exit code, where it is known; nothing is held any more. */
	release(processId: string): number | undefined {
		const held = this.held.get(processId);
		if (!held) return undefined;
		this.held.delete(processId);
		if (held.terminal !== undefined) closeSync(held.terminal);
		return this.witness.take(held.pid);
	}

	/** For a new supervisor. */
	terminals(): HandedTerminal[] {
		return [...this.held].flatMap(([processId, { terminal }]) =>
			terminal === undefined ? [] : [{ processId, pid: process.pid, fd: terminal }],
		);
	}

	close(): void {
		for (const processId of [...this.held.keys()]) this.release(processId);
		this.witness[Symbol.dispose]();
	}
}

function copyQuietly(pid: number, fd: number): number | undefined {
	try {
		return copyTerminal(pid, fd);
	} catch {
		return undefined;
	}
}
