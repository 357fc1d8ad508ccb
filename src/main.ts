import { UsageError } from "./shared/usage-error.ts";

/**
 * One command: what `foredeck help` says of it (none: hidden) and what runs. Each command imports what it needs when it runs, so that a
 * small one does not pay for the daemon's modules.
 */
interface Command {
	readonly summary?: string;
	run(argv: string[]): Promise<number>;
}

const commands: Record<string, Command> = {
	daemon: {
		summary: "run the engine (flags: foredeck config print --help)",
		run: async (argv) => {
			const { resolveConfig } = await import("./daemon/config.ts");
			const { options } = resolveConfig(argv);
			const { runDaemon } = await import("./daemon/start.ts");
			await runDaemon(options);
			return 0;
		},
	},
	config: {
		summary: "config print [--json] [daemon flags]: every setting, its value and where it comes from",
		run: async (argv) => {
			const { FLAGS, resolveConfig } = await import("./daemon/config.ts");
			const { runConfig } = await import("./cli/config.ts");
			return runConfig(argv, FLAGS, resolveConfig, print);
		},
	},
	doctor: {
		summary: "check what this machine offers the engine; --deep [--repair] [daemon flags]: read all image layers again",
		run: async (argv) => {
			if (argv.includes("--deep")) {
				const own = argv.filter((word) => ["--deep", "--repair", "--json"].includes(word));
				const { resolveConfig } = await import("./daemon/config.ts");
				const { options } = resolveConfig(argv.filter((word) => !own.includes(word)));
				const { runDeepCheck } = await import("./cli/deep-check.ts");
				return runDeepCheck(own, options.hosts[0] ?? "", print);
			}
			const { examineHost } = await import("./daemon/doctor.ts");
			const { runDoctor } = await import("./cli/doctor.ts");
			return runDoctor(argv, examineHost, print);
		},
	},
	dns: {
		summary: "dns install|uninstall [daemon flags]: make this machine resolve the engine's names, or take that back",
		run: async (argv) => {
			const { resolveConfig } = await import("./daemon/config.ts");
			const { runDns } = await import("./cli/dns.ts");
			return runDns(argv, resolveConfig, print);
		},
	},
	image: {
		summary: "image pull --all-platforms NAME: keep an image with all of its platforms, to push and save as it is",
		run: async (argv) => {
			const { runImage, splitImageArguments } = await import("./cli/image.ts");
			const { own, daemon } = splitImageArguments(argv);
			const { resolveConfig } = await import("./daemon/config.ts");
			return runImage(own, resolveConfig(daemon).options.hosts[0] ?? "", print);
		},
	},
	network: {
		summary: "network topology | check A B [--port N] | status: how the networks are, tried from inside",
		run: async (argv) => {
			const { runNetwork, splitArguments } = await import("./cli/network.ts");
			const { own, daemon } = splitArguments(argv);
			const { resolveConfig } = await import("./daemon/config.ts");
			return runNetwork(own, resolveConfig(daemon).options.hosts[0] ?? "", print);
		},
	},
	policy: {
		summary: "policy apply FILE | list | show | delete | explain FROM TO | log [-f]: who may reach whom",
		run: async (argv) => {
			const { runPolicy, splitPolicyArguments } = await import("./cli/policy.ts");
			const { own, daemon } = splitPolicyArguments(argv);
			const { resolveConfig } = await import("./daemon/config.ts");
			return runPolicy(own, resolveConfig(daemon).options.hosts[0] ?? "", print);
		},
	},
	"network-probe": {
		run: async ([request = ""]) => {
			const { runProbe } = await import("./daemon/probe.ts");
			print(runProbe(request));
			return 0;
		},
	},
	version: {
		summary: "print the version",
		run: async () => {
			const { COMMIT, VERSION } = await import("./shared/version.ts");
			print(`foredeck ${VERSION} (${COMMIT})`);
			return 0;
		},
	},
	help: {
		summary: "print this",
		run: async () => {
			print(usage());
			return 0;
		},
	},
	supervisor: {
		run: async (argv) => {
			const { runSupervisor } = await import("./daemon/supervisor.ts");
			await runSupervisor(argv);
			return 0;
		},
	},
};

const ALIASES: Record<string, string> = { "--version": "version", "-v": "version", "--help": "help", "-h": "help" };

/** console.log, because process.stdout loads Node's streams: 4 ms, as much as the whole start. */
function print(line: string): void {
	console.log(line);
}

function usage(): string {
	const rows = Object.entries(commands).flatMap(([name, { summary }]) =>
		summary ? [`  ${name.padEnd(9)} ${summary}`] : [],
	);
	return ["usage: foredeck COMMAND [FLAGS]", "", ...rows].join("\n");
}

async function main(argv: string[]): Promise<number> {
	const [given = "help", ...rest] = argv;
	const command = commands[ALIASES[given] ?? given];
	if (!command) throw new UsageError(`unknown command ${JSON.stringify(given)}\n${usage()}`);
	return command.run(rest);
}

try {
	// Not process.exit(): a daemon's listeners keep the process alive after its start has returned.
	process.exitCode = await main(process.argv.slice(2));
} catch (error) {
	const message = error instanceof Error ? error.message : String(error);
	process.stderr.write(`foredeck: ${message}\n`);
	process.exit(error instanceof UsageError ? 2 : 1);
}
