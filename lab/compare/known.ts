import type { Reply, Step } from "./talk.ts";

interface Known {
	readonly why: string;
	/** Of the case. */
	readonly name?: RegExp;
	/** `field: ours | theirs`, or `status message | status message` where only one refused. */
	readonly line?: RegExp;
	readonly when?: (step: Step, ours: Reply, theirs: Reply) => boolean;
}

/** Differences that are meant, each with its reason. */
const KNOWN: readonly Known[] = [
	{ why: "an archive is filled up to whole blocks", name: /\/archive$/, line: /^body: "passwd/ },
	{ why: "on the default bridge no name is known", name: /rename$|links$/, line: /DNSNames/ },
	{
		why: "either may have ended by then",
		name: /\/(exec|exec-start)\/|exited\/(start|restart)$/,
		line: /Running|ExitCode|has already run|^status: 304|State\.|NetworkSettings/,
	},
	{ why: "times are taken in every form that events take", name: /logs\?.*since=/, line: /^200 \| 500/ },
	{
		why: "the OCI runtimes have words of their own",
		name: /update|exec/,
		line: /OCI runtime|invalid CPU shares|cannot resize/,
	},

	{ why: "a request that cannot be is the client's fault", line: /^status: 40[049] \| 500$/ },
	{
		why: "what dockerd takes and stumbles over at the start is refused at once",
		line: /^400 .* \| 201$/,
		name: refusedAtOnce(),
	},
	{
		why: "files of a container are there from its creation on",
		line: /^body\.(ResolvConf|Hostname|Hosts|Log)Path: "<root>.* \| ""$/,
	},
	{ why: "names that are made up", line: /(Name|Names\[0\]|name): "\/[a-z]+_[a-z]+\d*" \| "\/[a-z]+_[a-z]+\d*"$/ },
	{ why: "crun runs the containers", line: /^body\.HostConfig\.Runtime: "crun" \| "runc"$/ },
	{ why: "crun is a runtime that dockerd has not", name: /host\/Runtime="crun"/, line: /^201 \| 400 / },
	{
		why: "layers and namespaces lie elsewhere",
		line: /GraphDriver\.Data[.:]|SandboxKey: |Mounts\[0\]\.Source: "<root>\/overlay/,
	},
	{ why: "Go's decoder words it by its version", line: /invalid JSON: .*\| "(invalid JSON: |unexpected content)/ },
	{
		why: "Go's words for numbers that are none",
		line: /(strconv\.|invalid syntax|failed to parse value).*\| .*(strconv\.|out of range)/,
	},
	{ why: "we say which filter is wrong", line: /"invalid filters: .*\| ".*invalid filter"/ },
	{
		why: "the OCI runtimes have words of their own",
		name: /host\/|config\/Cmd/,
		line: /State\.Error: |body\.message: ".*(OCI runtime|error gathering device)/,
	},
	{
		why: "processes of their own, measured at another moment",
		line: /Pid: |Processes\[|_stats|SizeRootFs|body\.(read|preread|id|name|num_procs|networks)/,
	},
	{
		why: "an error before a stream is an error of HTTP, dockerd writes it into the stream",
		name: /attach/,
		line: /headers|body/,
	},
	{ why: "dockerd has no statistics on hosts with both cgroup versions", line: /no metrics received/ },
	{
		why: "mounts are seen, dockerd looks below them; made at another moment",
		name: /archive|working-dir/,
		line: /path-stat|^200 \| 404/,
	},
	{
		why: "another engine on another disk",
		name: /version\/|get\/(info|version|system|images)|volume\/used/,
		line: /Images|Volumes|Component|Plugins|Driver|Version|Commit|body\.ID|NFd|NGoroutines|Runtime|LiveRestore|CDISpec|Platform|LayersSize|Firewall|Containerd|KernelMemory|body\[/,
	},
	{
		why: "a hijacked answer has its own headers alone",
		name: /exec|program/,
		line: /^headers\.(api-version|docker-experimental): \(none\)/,
	},
	{ why: "we say which key is wrong", line: /(Invalid detach keys|cannot read the archive|invalid port)/ },
	{ why: "a tail that is no number is refused", name: /tail=bad/ },
	{
		why: "other file systems, other sums: dockerd adds a few bytes for each layer",
		name: /image\//,
		line: /Size: \d+ \| \d+$/,
	},
	{ why: "other containers are made of it", name: /image\//, line: /Containers: \d+ \| \d+$/ },
	{ why: "a rename makes dockerd forget an endpoint's links", name: /lives\/links/, line: /bridge\.Links/ },
	{ why: "dockerd draws ports in no order", name: /ports-without-protocol/, line: /Ports\[/ },
	{ why: "dockerd tells a kill when it has time to", name: /remove-forced/, line: /^body\[[345]\]/ },
	{ why: "we name the path, dockerd where it keeps it", line: /"Cannot mkdir: .*\| "lstat/ },
	{ why: "measured at another moment", name: /events\//, line: /execDuration/ },
	{
		why: "an attach that is no handshake is refused before it is looked for",
		name: /attach/,
		line: /^status: 400 \| 40[49]$/,
	},
	{
		why: "each address is bound on the host, dockerd here without its proxy binds none",
		name: /PortBindings/,
		line: /bind host port/,
	},
	{
		why: "a policy restarts when it will",
		name: /RestartPolicy|AutoRemove/,
		line: /RestartCount|^404 .*\| 200|No such container/,
	},
	{ why: "the host has no AppArmor", name: /apparmor/, line: /AppArmorProfile/ },
	{ why: "a CLI's option that the CLI acts on is known here, too", name: /systempaths/, line: /^201 \| 500/ },
	{
		why: "the kernel brings shares and quotas into its range, runc refuses",
		name: /CpuShares|NanoCpus/,
		line: /^204 \| 500/,
	},
	{ why: "no permissions are all, runc refuses", name: /host\/Devices/, line: /CgroupPermissions|^204 \| 500/ },
	{ why: "a key that stands twice has two meanings", line: /duplicate key/ },
	{ why: "old clients' kernel memory is taken and means nothing", name: /version-create/, line: /KernelMemory/ },
	{ why: "volumes are sorted by age, dockerd's by nothing", name: /volume\/list/, line: /body\.Volumes/ },
	{ why: "what a number above 2^53 ends in is lost", line: /: \d{16,} \| \d{16,}$/ },
	{ why: "two streams have no order between them", name: /logs/, line: /^body: / },
];

/** Values that are refused at create. */
function refusedAtOnce(): RegExp {
	const fields = [
		...["ExposedPorts", "Hostname", "Image", "Volumes", "StopSignal", "StopTimeout", "MacAddress", "Dns", "DnsOptions"],
		...["DnsSearch", "ExtraHosts", "Mounts", "Tmpfs", "LogConfig", "PortBindings", "SecurityOpt", "Sysctls", "Devices"],
		...["MemoryReservation", "MemorySwap", "CpusetMems", "Ulimits", "IpcMode", "UsernsMode", "DeviceCgroupRules"],
		...["DeviceRequests", "Runtime"],
	];
	return new RegExp(`/(${fields.join("|")})=|networking/linkLocal`);
}

/** Why a difference is meant; undefined: it is not. */
export function explain(name: string, step: Step, line: string, ours: Reply, theirs: Reply): string | undefined {
	return KNOWN.find(
		(one) =>
			(one.name?.test(name) ?? true) && (one.line?.test(line) ?? true) && (one.when?.(step, ours, theirs) ?? true),
	)?.why;
}
