import { watchChild } from "../../../sys/linux/pidfd.ts";
import { reapChild } from "../../../sys/linux/process.ts";

/** Strays are zombies until the next child ends, or for so long. */
const STRAYS_MS = 5_000;

/**
 * Takes the exit status of every child: the OCI runtimes we spawn, the container processes they leave to us as subreaper, and strays from
 * inside a container, which are nobody's. A status that comes before its `wait` is kept while a start is under way.
 */
export class Reaper {
	private readonly waiting = new Map<number, (exitCode: number) => void>();
	private readonly early = new Map<number, number>();
	private starts = 0;

	/**
	 * Begins. The listener is there to replace an inherited "ignore", under which the kernel would keep no exit status; Bun calls it late
	 * or never, so each known child is watched by its pidfd.
	 */
	listen(): void {
		process.on("SIGCHLD", () => this.reap());
		setInterval(() => this.reap(), STRAYS_MS).unref();
	}

	/** Runs `start`, during which the exit of a pid not yet known is remembered. */
	async during<T>(start: () => Promise<T>): Promise<T> {
		this.starts++;
		try {
			return await start();
		} finally {
			if (--this.starts === 0) this.early.clear();
		}
	}

	/** The exit code of a child. Call it inside `during` if the child may have ended already. */
	wait(pid: number): Promise<number> {
		const ended = this.early.get(pid);
		if (ended !== undefined) {
			this.early.delete(pid);
			return Promise.resolve(ended);
		}
		return new Promise((resolve) => {
			this.waiting.set(pid, resolve);
			watchChild(pid, () => this.reap());
		});
	}

	private reap(): void {
		for (let child = reapChild(); child; child = reapChild()) {
			const waiter = this.waiting.get(child.pid);
			this.waiting.delete(child.pid);
			if (waiter) waiter(child.exitCode);
			else if (this.starts > 0) this.early.set(child.pid, child.exitCode);
		}
	}
}
