import { randomInt } from "node:crypto";
import { messageOf } from "../../shared/errors.ts";
import type { Logger } from "../../shared/log.ts";
import { deleteLink, findLink, setGroup } from "../../sys/linux/link.ts";
import type { RouteSocket } from "../../sys/linux/netlink.ts";
import { tolerate } from "./inside.ts";

/** Once none has come for so long, ms, those that wait begin to go. */
const QUIET_MS = 200;
/** None waits longer than this for others that keep coming, ms. */
const PATIENCE_MS = 5000;
/** Between two groups, for those who wait to change an interface, ms. */
const PAUSE_MS = 100;
const GROUP_SIZE = 3;

/**
 * Interfaces on their way out. The kernel takes some 40 ms to take a bridge apart, half of that in a group, and nobody else changes any interface
 * meanwhile: so they go a few at a time, when no more come. In a process of its own, for the kernel holds the caller as long.
 */
export class Removals {
	/** None that anybody else would choose. */
	private readonly group = randomInt(2 ** 30, 2 ** 31 - 1);
	private readonly waiting = new Map<string, Removal>();
	/** Being taken apart. */
	private readonly going = new Map<string, Removal>();
	private timer: ReturnType<typeof setTimeout> | undefined;
	/** When the one that waits longest came, ms. */
	private since = 0;

	constructor(
		private readonly socket: RouteSocket,
		private readonly log: Logger,
	) {}

	/** Resolves when the interface is gone; at once where there is none. */
	add(name: string): Promise<void> {
		const known = this.waiting.get(name) ?? this.going.get(name);
		if (known) return known.done.promise;
		const link = findLink(this.socket, name);
		if (!link) return Promise.resolve();
		const done = Promise.withResolvers<void>();
		if (this.waiting.size === 0) this.since = performance.now();
		this.waiting.set(name, { index: link.index, done });
		if (this.going.size === 0) this.flushIn(Math.min(QUIET_MS, this.since + PATIENCE_MS - performance.now()));
		return done.promise;
	}

	/** Those that are still there, or may be. */
	names(): string[] {
		return [...this.waiting.keys(), ...this.going.keys()];
	}

	/** Its name is wanted: when this returns it is gone. */
	hurry(name: string): void {
		for (const queue of [this.waiting, this.going]) {
			const removal = queue.get(name);
			queue.delete(name);
			if (removal) this.finish(name, removal);
		}
	}

	/** All that were added are gone when this resolves. */
	async settled(): Promise<void> {
		while (this.waiting.size + this.going.size > 0) {
			if (this.going.size === 0) await this.flush(this.waiting.size);
			else await Promise.all([...this.going.values()].map(({ done }) => done.promise));
		}
	}

	private flushIn(ms: number): void {
		clearTimeout(this.timer);
		this.timer = setTimeout(() => void this.flush(GROUP_SIZE), Math.max(0, ms));
	}

	private async flush(count: number): Promise<void> {
		clearTimeout(this.timer);
		for (const [name, removal] of [...this.waiting].slice(0, count)) {
			this.waiting.delete(name);
			this.going.set(name, removal);
		}
		await this.deleteGroup();
		for (const [name, removal] of this.going) this.finish(name, removal);
		this.going.clear();
		this.since = performance.now();
		if (this.waiting.size > 0) this.flushIn(PAUSE_MS);
	}

	private async deleteGroup(): Promise<void> {
		try {
			for (const { index } of this.going.values()) {
				tolerate("ENODEV", () => this.socket.request(setGroup(index, this.group)));
			}
			// ip link del group 1234567890
			const command = ["ip", "link", "del", "group", String(this.group)];
			await Bun.spawn(command, { stdin: "ignore", stdout: "ignore", stderr: "ignore" }).exited;
		} catch (error) {
			this.log.warn("interfaces are deleted one by one", { error: messageOf(error) });
		}
	}

	/** By its index: another may have its name by now. */
	private finish(link: string, { index, done }: Removal): void {
		try {
			tolerate("ENODEV", () => this.socket.request(deleteLink(index)));
		} catch (error) {
			this.log.warn("interface not deleted", { link, error: messageOf(error) });
		}
		done.resolve();
	}
}

interface Removal {
	readonly index: number;
	readonly done: PromiseWithResolvers<void>;
}
