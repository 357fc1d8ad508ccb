import { equal, eventually, includes } from "../../lib/assert.ts";
import type { Lab } from "../../lib/scenario.ts";

/** A shell in a tmux pane, with DOCKER_HOST set: what a person at a terminal types and sees. */
export interface Terminal {
	/** Types a line and Enter. */
	line(text: string): Promise<void>;
	/** Presses keys by tmux's names: C-c, C-p, Enter, a. */
	press(...keys: string[]): Promise<void>;
	resize(columns: number, rows: number): Promise<void>;
	/** What is on the screen, without empty lines. */
	screen(): Promise<string>;
	/** Waits until `part` is on the screen. */
	shows(part: string): Promise<void>;
	/** Types a command for the host's shell; `exitCode` waits for its end. */
	command(text: string): Promise<void>;
	exitCode(): Promise<number>;
	clear(): Promise<void>;
	close(): Promise<void>;
}

let count = 0;

/** Opens a pane of the given size. Close it: its processes name the lab's directory and count as left behind. */
export async function openTerminal({ engine, directory }: Lab, columns: number, rows: number): Promise<Terminal> {
	const socket = `${directory}/tmux-${++count}`;
	const env = {
		PATH: process.env.PATH ?? "/usr/sbin:/usr/bin:/sbin:/bin",
		TERM: "xterm",
		LC_ALL: "C.UTF-8",
		SHELL: "/bin/sh",
		PS1: "host$ ",
		DOCKER_HOST: engine.host,
		DOCKER_CONFIG: `${directory}/docker-config`,
	};
	const tmux = async (...argv: string[]): Promise<string> => {
		const child = Bun.spawn(["tmux", "-S", socket, "-f", "/dev/null", ...argv], {
			env,
			stdout: "pipe",
			stderr: "pipe",
		});
		const [out, err] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
		equal(await child.exited, 0, `exit code of tmux ${argv.join(" ")} (${err})`);
		return out;
	};
	await tmux("new-session", "-d", "-s", "t", "-x", `${columns}`, "-y", `${rows}`, "/bin/sh");
	let asked = 0;
	const terminal: Terminal = {
		line: async (text) => {
			await tmux("send-keys", "-t", "t", "-l", text);
			await tmux("send-keys", "-t", "t", "Enter");
		},
		press: async (...keys) => void (await tmux("send-keys", "-t", "t", ...keys)),
		resize: async (wide, high) => void (await tmux("resize-window", "-t", "t", "-x", `${wide}`, "-y", `${high}`)),
		screen: async () => (await tmux("capture-pane", "-p", "-t", "t")).replaceAll(/\n+/g, "\n"),
		shows: async (part) => {
			try {
				await eventually("on the screen", async () => (await terminal.screen()).includes(part));
			} catch {
				includes(await terminal.screen(), part, "screen");
			}
		},
		// the sum is done by the shell, so that the typed line does not look like its output
		command: async (text) => await terminal.line(`${text}; echo ended$((${++asked}+0))=$?`),
		exitCode: async () => {
			const code = await eventually("exit code", async () => {
				return new RegExp(`ended${asked}=(\\d+)`).exec(await terminal.screen())?.[1];
			});
			return Number(code);
		},
		clear: async () => {
			await tmux("send-keys", "-R", "-t", "t");
			await tmux("clear-history", "-t", "t");
		},
		close: async () => void (await tmux("kill-server")),
	};
	await terminal.shows("host$");
	return terminal;
}
