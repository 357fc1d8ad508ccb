import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { eventually } from "./assert.ts";

/** Machines made of network namespaces, and the cables between them. The engine runs on the one called `host`; all go when the scenario ends. */
export class Place implements AsyncDisposable {
	private readonly children: Bun.Subprocess[] = [];
	private readonly machines: string[] = [];
	private readonly resolvConf: string;

	/** @param directory the scenario's own */
	constructor(directory: string) {
		mkdirSync(directory, { recursive: true });
		this.resolvConf = join(directory, "resolv.conf");
		writeFileSync(this.resolvConf, "");
	}

	/** What the engine is started by: in the host's namespace, with a resolv.conf of its own. */
	get launch(): string[] {
		const script = `mount --bind ${this.resolvConf} /etc/resolv.conf && exec "$@"`;
		return [...this.inside("host"), "unshare", "-m", "sh", "-c", script, "sh"];
	}

	/** The host's servers from now on. The file is rewritten in place, as a VPN client does where it is a bind mount. */
	setNameservers(...addresses: string[]): void {
		writeFileSync(this.resolvConf, addresses.map((address) => `nameserver ${address}\n`).join(""));
	}

	addMachine(name: string): void {
		run(["ip", "netns", "add", nameOf(name)]);
		this.machines.push(name);
		this.run(name, "ip", "link", "set", "lo", "up");
	}

	/** `"host:wan"` and `"net:eth0"`, each with its address as in `10.0.0.1/24`. */
	addCable(one: string, oneAddress: string, other: string, otherAddress: string): void {
		const [[a = "", aLink = ""], [b = "", bLink = ""]] = [one.split(":"), other.split(":")];
		const peer = ["peer", "name", bLink, "netns", nameOf(b)];
		this.run(a, "ip", "link", "add", "name", aLink, "type", "veth", ...peer);
		for (const [machine, link, address] of [
			[a, aLink, oneAddress],
			[b, bLink, otherAddress],
		] as const) {
			this.run(machine, "ip", "addr", "add", address, "dev", link);
			this.run(machine, "ip", "link", "set", link, "up");
		}
	}

	/** Throws with what the command said when it fails. */
	run(machine: string, ...command: string[]): string {
		return run([...this.inside(machine), ...command]);
	}

	/** Starts a script of the lab's on a machine; it ends with the scenario. `ready`: when to go on. */
	async start(machine: string, script: string, argv: string[], ready: () => boolean): Promise<void> {
		const path = join(import.meta.dir, "..", script);
		const command = [...this.inside(machine), process.execPath, path, ...argv];
		this.children.push(Bun.spawn(command, { stdin: "ignore", stdout: "inherit", stderr: "inherit" }));
		await eventually(`${script} on ${machine}`, ready);
	}

	/** Answers TCP connections and (at one address, or the answer may come from another) datagrams on the port with `TEXT;ADDRESS OF THE CLIENT`. */
	async speak(machine: string, port: number, text: string, address = "0.0.0.0"): Promise<void> {
		await this.start(machine, "lib/speaker.ts", ["speak", String(port), text, address], () =>
			this.listens(machine, port),
		);
	}

	/** A DNS server on one address that knows one answer for every name. */
	async serveNames(machine: string, address: string, answer: string): Promise<void> {
		const isUp = () => this.run(machine, "ss", "-lun").includes(`${address}:53 `);
		await this.start(machine, "lib/speaker.ts", ["dns", address, answer], isUp);
	}

	listens(machine: string, port: number): boolean {
		return this.run(machine, "ss", "-ltn").includes(`:${port} `);
	}

	async [Symbol.asyncDispose](): Promise<void> {
		for (const child of this.children) child.kill("SIGKILL");
		await Promise.all(this.children.map(({ exited }) => exited));
		for (const name of this.machines) run(["ip", "netns", "delete", nameOf(name)]);
	}

	private inside(machine: string): string[] {
		return ["nsenter", `--net=/run/netns/${nameOf(machine)}`];
	}
}

function nameOf(machine: string): string {
	return `fdplace-${process.pid}-${machine}`;
}

function run(command: string[]): string {
	const { exitCode, stdout, stderr } = Bun.spawnSync(command);
	if (exitCode !== 0) throw new Error(`${command.join(" ")}: ${stderr.toString().trim()}`);
	return stdout.toString();
}
