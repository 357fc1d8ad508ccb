import type { Step } from "../talk.ts";
import type { Case } from "./case.ts";
import { EXECS, FILTERS, LISTS, LOGS, UPDATES } from "./operate-values.ts";

const LOOP = ["sh", "-c", "trap 'exit 7' TERM; echo out; echo err >&2; while :; do sleep 0.1; done"];
const make = (body: object = {}): Step => ({
	method: "POST",
	path: "/containers/create",
	body: { Image: "busybox", Cmd: LOOP, Labels: { cmp: "1" }, ...body },
	quiet: true,
});
const START: Step = { method: "POST", path: "/containers/{ID}/start", quiet: true };
/** Time for the first lines. */
const SETTLE: Step = { method: "POST", path: "/containers/{ID}/wait?condition=bad", quiet: true };
const on = (method: string, path: string, body?: unknown): Step => ({
	method,
	path: `/containers/{ID}${path}`,
	...(body !== undefined && { body }),
});
const inspect = on("GET", "/json");
const wait: Step = { ...on("POST", "/wait"), quiet: true };
const execStep = (body: unknown): Step => on("POST", "/exec", body);

/** Each alone, on a container that runs. */
const running = (name: string, ...steps: Step[]): Case => ({
	name: `running/${name}`,
	steps: [make(), START, SETTLE, ...steps],
});
const created = (name: string, ...steps: Step[]): Case => ({ name: `created/${name}`, steps: [make(), ...steps] });
const exited = (name: string, ...steps: Step[]): Case => ({
	name: `exited/${name}`,
	steps: [make({ Cmd: ["sh", "-c", "echo out; echo err >&2; exit 3"] }), START, wait, ...steps],
});
const paused = (name: string, ...steps: Step[]): Case => ({
	name: `paused/${name}`,
	steps: [make(), START, { ...on("POST", "/pause"), quiet: true }, ...steps],
});
const missing = (name: string, method: string, path: string, body?: unknown): Case => ({
	name: `missing/${name}`,
	steps: [{ method, path, ...(body !== undefined && { body }) }],
});
const everywhere = (name: string, ...steps: Step[]): Case[] => [
	running(name, ...steps),
	created(name, ...steps),
	exited(name, ...steps),
	paused(name, ...steps),
];

const execCases = EXECS.map((body) =>
	running(
		`exec/${JSON.stringify(body)}`,
		execStep(body),
		{ method: "GET", path: "/exec/{EXEC}/json" },
		{ method: "POST", path: "/exec/{EXEC}/start", body: { Detach: false } },
		{ method: "GET", path: "/exec/{EXEC}/json" },
		{ method: "POST", path: "/exec/{EXEC}/start", body: { Detach: true } },
	),
);

const made = execStep({ Cmd: ["true"], AttachStdout: true });
const execStarts = [
	{},
	{ Detach: true },
	{ Detach: true, Tty: true },
	{ Tty: true },
	null,
	"x",
	{ Detach: "x" },
	{ ConsoleSize: [1, 2] },
	{ Tty: true, ConsoleSize: [1, 2] },
	{ Tty: true, ConsoleSize: [1, 2, 3] },
].map((body) =>
	running(
		`exec-start/${JSON.stringify(body)}`,
		{ ...made, quiet: true },
		{ method: "POST", path: "/exec/{EXEC}/start", body },
		{ method: "GET", path: "/exec/{EXEC}/json" },
	),
);

export function operateCases(): Case[] {
	return [
		...everywhere("inspect", inspect, on("GET", "/json?size=1"), on("GET", "/json?size=bad")),
		...everywhere(
			"top",
			on("GET", "/top"),
			on("GET", "/top?ps_args=aux"),
			on("GET", "/top?ps_args=-o%20pid,cmd"),
			on("GET", "/top?ps_args=-o%20cmd"),
			on("GET", "/top?ps_args=bad-arg"),
			on("GET", "/top?ps_args=-o%20pid%20;ls"),
		),
		...everywhere("changes", on("GET", "/changes")),
		...everywhere(
			"stats",
			on("GET", "/stats?stream=0"),
			on("GET", "/stats?stream=0&one-shot=1"),
			on("GET", "/stats?stream=1&one-shot=1"),
			on("GET", "/stats?stream=bad&one-shot=bad"),
		),
		...everywhere("pause", on("POST", "/pause"), inspect, on("POST", "/pause")),
		...everywhere("unpause", on("POST", "/unpause"), inspect),
		...everywhere("stop", on("POST", "/stop?t=1"), inspect, on("POST", "/stop?t=0")),
		...everywhere("kill", on("POST", "/kill?signal=TERM"), wait, inspect),
		...everywhere("restart", on("POST", "/restart?t=0"), inspect),
		...everywhere(
			"start",
			on("POST", "/start"),
			on("POST", "/start", {}),
			on("POST", "/start", { Binds: [] }),
			on("POST", "/start?detachKeys=bad-x"),
		),
		...everywhere("remove", on("DELETE", ""), inspect),
		...everywhere("remove-force", on("DELETE", "?force=1"), inspect),
		...everywhere(
			"rename",
			on("POST", "/rename?name=cmp-new"),
			on("POST", "/rename?name=cmp-new"),
			on("POST", "/rename?name="),
			on("POST", "/rename"),
			on("POST", "/rename?name=a%20b"),
			on("POST", "/rename?name=/cmp-new2"),
			inspect,
		),
		...everywhere(
			"resize",
			on("POST", "/resize?h=10&w=20"),
			on("POST", "/resize?h=x&w=20"),
			on("POST", "/resize"),
			on("POST", "/resize?h=-1&w=1"),
			on("POST", "/resize?h=0&w=0"),
			on("POST", "/resize?h=4294967296&w=1"),
		),
		...everywhere("exec", execStep({ Cmd: ["true"] })),
		...everywhere(
			"archive",
			on("GET", "/archive?path=/etc/passwd"),
			on("HEAD", "/archive?path=/etc/passwd"),
			on("HEAD", "/archive?path=/etc"),
			on("HEAD", "/archive?path=/"),
			on("HEAD", "/archive?path=/nosuch"),
			on("GET", "/archive"),
			on("GET", "/archive?path="),
			on("HEAD", "/archive?path=/bin/sh"),
			on("HEAD", "/archive?path=etc/passwd"),
			on("HEAD", "/archive?path=/etc/passwd/"),
			on("HEAD", "/archive?path=/etc/../etc"),
			on("HEAD", "/archive?path=/proc"),
			on("HEAD", "/archive?path=/dev/null"),
			on("PUT", "/archive?path=/tmp", "not a tar"),
			on("PUT", "/archive?path=/nosuch", ""),
			on("PUT", "/archive?path=/etc/passwd", ""),
			on("PUT", "/archive", ""),
			on("PUT", "/archive?path=/tmp&noOverwriteDirNonDir=bad", ""),
			on("PUT", "/archive?path=/tmp", ""),
		),
		...everywhere("export", { ...on("GET", "/export"), quiet: true }, inspect),
		...everywhere(
			"attach",
			on("POST", "/attach?stream=1&stdout=1"),
			on("POST", "/attach?logs=1&stdout=1&stderr=1"),
			on("POST", "/attach?logs=1"),
			on("POST", "/attach"),
			on("POST", "/attach?detachKeys=bad-x&stream=1&stdout=1"),
			on("GET", "/attach/ws"),
		),
		...LOGS.map((query) => exited(`logs${query}`, on("GET", `/logs${query}`))),
		...["", "?condition=not-running", "?condition=next-exit&x=1", "?condition=bad", "?condition="].map((query) =>
			query.includes("next-exit")
				? missing(`wait-next`, "POST", `/containers/nosuch/wait${query}`)
				: exited(`wait${query}`, on("POST", `/wait${query}`)),
		),
		...["TERM", "SIGTERM", "15", "0", "99", "bad", "", "-1", "SIGRTMIN", "SIGCHLD", "64", "65", "sigterm", "CONT"].map(
			(signal) => running(`kill?${signal}`, on("POST", `/kill?signal=${signal}`)),
		),
		...[
			"?t=bad",
			"?t=-1&signal=KILL",
			"?signal=bad&t=1",
			"?signal=KILL",
			"?t=",
			"?t=1.5",
			"?t=99999999999999999999",
		].flatMap((query) => [
			running(`stop${query}`, on("POST", `/stop${query}`)),
			running(`restart${query}`, on("POST", `/restart${query}`)),
		]),
		...UPDATES.flatMap((body) => [
			running(`update/${JSON.stringify(body)}`, on("POST", "/update", body), inspect),
			created(`update/${JSON.stringify(body)}`, on("POST", "/update", body), inspect),
		]),
		...execCases,
		...execStarts,
		running(
			"exec-resize",
			{ ...made, quiet: true },
			{ method: "POST", path: "/exec/{EXEC}/resize?h=10&w=10" },
			{ method: "POST", path: "/exec/{EXEC}/resize?h=x&w=10" },
			{ method: "POST", path: "/exec/nosuch/resize?h=1&w=10" },
			{ method: "GET", path: "/exec/nosuch/json" },
			{ method: "POST", path: "/exec/nosuch/start", body: {} },
		),
		...["json", "top", "logs?stdout=1", "changes", "export", "stats?stream=0", "archive?path=/", "attach/ws"].map(
			(path) => missing(path, "GET", `/containers/nosuch/${path}`),
		),
		...[
			"start",
			"stop",
			"kill",
			"restart",
			"pause",
			"unpause",
			"wait",
			"resize?h=1&w=1",
			"rename?name=x",
			"attach?stream=1",
			"exec",
			"update",
			"start?x=1",
		].map((path) =>
			missing(path, "POST", `/containers/nosuch/${path}`, /exec|update/.test(path) ? { Cmd: ["true"] } : undefined),
		),
		missing("delete", "DELETE", "/containers/nosuch"),
		missing("delete-force", "DELETE", "/containers/nosuch?force=1"),
		missing("delete-link", "DELETE", "/containers/nosuch?link=1"),
		...LISTS.map((query) => ({ name: `list${query}`, steps: [{ method: "GET", path: `/containers/json${query}` }] })),
		...FILTERS.map((filter) => ({
			name: `list-filters/${JSON.stringify(filter)}`,
			steps: [
				make(),
				{ method: "GET", path: `/containers/json?all=1&filters=${encodeURIComponent(JSON.stringify(filter))}` },
			],
		})),
		...[
			{ label: ["nosuch"] },
			{ until: ["bad"] },
			{ until: ["1"] },
			{ bad: ["x"] },
			{ until: ["1", "2"], label: ["nosuch"] },
			{ label: "x" },
		].map((filter) => ({
			name: `prune/${JSON.stringify(filter)}`,
			steps: [
				{
					method: "POST",
					path: `/containers/prune?filters=${encodeURIComponent(JSON.stringify({ ...filter, ...(!("bad" in filter) && { label: ["nosuch"] }) }))}`,
				},
			],
		})),
		...[
			"1.24",
			"1.30",
			"1.40",
			"1.41",
			"1.42",
			"1.43",
			"1.44",
			"1.45",
			"1.46",
			"1.47",
			"1.48",
			"1.49",
			"1.50",
			"1.51",
			"",
			"1.23",
			"1.52",
			"9.9",
			"x",
		].flatMap((version) => [
			{
				name: `version/${version}`,
				steps: [
					make(),
					...[
						"/containers/{ID}/json",
						"/containers/json?all=1&limit=1",
						"/version",
						"/_ping",
						"/info",
						"/system/df",
					].map((path) => ({ method: "GET", path, version })),
				],
			},
		]),
		...["1.24", "1.40", "1.41", "1.42", "1.43", "1.44", "1.45", "1.46", "1.47", "1.48", "1.49", "1.50"].map(
			(version) => ({
				name: `version-create/${version}`,
				steps: [
					{
						...make({
							HostConfig: {
								KernelMemory: 67108864,
								KernelMemoryTCP: 67108864,
								IpcMode: "",
								CgroupnsMode: "",
								Annotations: { a: "b" },
								Mounts: [
									{
										Type: "bind",
										Source: "/tmp",
										Target: "/x",
										ReadOnly: true,
										BindOptions: { CreateMountpoint: true, NonRecursive: true },
									},
								],
								PidsLimit: -5,
								ConsoleSize: [1, 2],
								OomScoreAdj: 5,
							},
							MacAddress: "02:42:ac:11:00:33",
							Healthcheck: { Test: ["CMD", "true"], StartPeriod: 1e9, StartInterval: 1e9 },
						}),
						quiet: false,
						version,
					},
					{ ...inspect, version },
					{ ...START, version, quiet: false },
					{ ...inspect, version },
					{ method: "GET", path: "/containers/json?limit=1", version },
					{
						method: "POST",
						path: "/containers/{ID}/exec",
						body: { Cmd: ["true"], Env: ["A=b"], WorkingDir: "/tmp", ConsoleSize: [1, 2] },
						version,
					},
					{ method: "GET", path: "/exec/{EXEC}/json", version },
					{ ...on("GET", "/stats?stream=0&one-shot=1"), version },
					{ ...on("GET", "/logs?stdout=1"), version },
					{ ...on("POST", "/stop?t=0"), version },
					{ ...on("POST", "/wait"), version },
				],
			}),
		),
	];
}
