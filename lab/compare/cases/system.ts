import type { Step } from "../talk.ts";
import type { Case } from "./case.ts";

const get = (path: string): Step => ({ method: "GET", path });
const create = (body: unknown): Step => ({ method: "POST", path: "/volumes/create", body });
const one = (name: string, ...steps: Step[]): Case => ({
	name,
	steps: [...steps, { method: "DELETE", path: "/volumes/cmpv?force=1", quiet: true }],
});
const filtered = (path: string, filter: unknown) =>
	`${path}${path.includes("?") ? "&" : "?"}filters=${encodeURIComponent(JSON.stringify(filter))}`;

const VOLUMES: readonly unknown[] = [
	{ Name: "cmpv" },
	{ Name: "cmpv", Labels: { a: "b" } },
	{ Name: "cmpv", Labels: null },
	{ Name: "cmpv", Driver: "local" },
	{ Name: "cmpv", Driver: "" },
	{ Name: "cmpv", Driver: "nosuch" },
	{ Name: "cmpv", DriverOpts: {} },
	{ Name: "cmpv", DriverOpts: { type: "tmpfs", device: "tmpfs", o: "size=1m" } },
	{ Name: "cmpv", DriverOpts: { type: "tmpfs" } },
	{ Name: "cmpv", DriverOpts: { device: "x" } },
	{ Name: "cmpv", DriverOpts: { o: "x" } },
	{ Name: "cmpv", DriverOpts: { bad: "x" } },
	{ Name: "cmpv", DriverOpts: { size: "1m" } },
	{ Name: "cmpv", DriverOpts: { size: "bad" } },
	{ Name: "cmpv", DriverOpts: { type: "none", device: "/nosuch", o: "bind" } },
	{ Name: "cmpv", DriverOpts: { type: "none", device: "/tmp", o: "bind" } },
	{ Name: "cmpv", DriverOpts: { type: "nfs", device: ":/x", o: "addr=1.2.3.4" } },
	{ Name: "cmpv", DriverOpts: { type: "nfs", device: ":/x" } },
	{ Name: "cmpv", DriverOpts: { type: "", device: "", o: "" } },
	{ Name: "cmpv", DriverOpts: { type: "cifs", device: "//h/x", o: "addr=h,user=x" } },
	{ Name: "a/b" },
	{ Name: "a b" },
	{ Name: "-a" },
	{ Name: "a" },
	{ Name: "aa:" },
	{ Name: 1 },
	{ Name: "cmpv", Labels: "x" },
	{ Name: "cmpv", Driver: 1 },
	{ Name: "cmpv", ClusterVolumeSpec: {} },
	[],
	"x",
	null,
	{ Name: "cmpv", Labels: { "": "x" } },
	{ Name: "é" },
	{ Name: "x".repeat(300) },
	{ Name: ".." },
];
const VOLUME_FILTERS: readonly unknown[] = [
	{ dangling: ["true"] },
	{ dangling: ["bad"] },
	{ dangling: ["true", "false"] },
	{ driver: ["local"] },
	{ driver: ["nosuch"] },
	{ label: ["a"] },
	{ label: ["a=b"] },
	{ "label!": ["a"] },
	{ name: ["cmpv"] },
	{ name: ["("] },
	{ bad: ["x"] },
	{ dangling: "x" },
];

export function systemCases(): Case[] {
	return [
		...VOLUMES.map((body) =>
			one(
				`volume/create/${JSON.stringify(body)?.slice(0, 100)}`,
				create(body),
				get("/volumes/cmpv"),
				create(body),
				create({ Name: "cmpv", Driver: "local", DriverOpts: { type: "tmpfs", device: "tmpfs" } }),
				{ method: "DELETE", path: "/volumes/cmpv" },
			),
		),
		...VOLUME_FILTERS.map((filter) =>
			one(
				`volume/list/${JSON.stringify(filter)}`,
				{ ...create({ Name: "cmpv", Labels: { a: "b" } }), quiet: true },
				get(
					filtered("/volumes", {
						...(filter as object),
						...("name" in (filter as object) || "bad" in (filter as object) ? {} : { name: ["cmpv"] }),
					}),
				),
			),
		),
		...[
			{ bad: ["x"] },
			{ all: ["bad"], label: ["nosuch"] },
			{ all: ["true"], label: ["nosuch"] },
			{ label: ["nosuch"] },
			{ "label!": ["a"], label: ["nosuch"] },
		].map((filter) =>
			one(`volume/prune/${JSON.stringify(filter)}`, { method: "POST", path: filtered("/volumes/prune", filter) }),
		),
		one(
			"volume/missing",
			get("/volumes/nosuch"),
			{ method: "DELETE", path: "/volumes/nosuch" },
			{ method: "DELETE", path: "/volumes/nosuch?force=1" },
			{ method: "PUT", path: "/volumes/nosuch?version=1", body: {} },
			{ method: "PUT", path: "/volumes/nosuch", body: {} },
			{ method: "DELETE", path: "/volumes/a%20b" },
			get("/volumes?filters=bad"),
			{ method: "DELETE", path: "/volumes/nosuch?force=bad" },
		),
		one(
			"volume/used",
			create({ Name: "cmpv" }),
			{
				method: "POST",
				path: "/containers/create",
				quiet: true,
				body: { Image: "busybox", Cmd: ["true"], HostConfig: { Binds: ["cmpv:/x"] } },
			},
			{ method: "DELETE", path: "/volumes/cmpv" },
			{ method: "DELETE", path: "/volumes/cmpv?force=1" },
			get("/volumes/cmpv"),
			get("/system/df?type=volume"),
			{ method: "DELETE", path: "/containers/{ID}?v=1" },
			get("/volumes/cmpv"),
		),
		...[
			"/version",
			"/info",
			"/_ping",
			"/system/df",
			"/system/df?type=container",
			"/system/df?type=volume",
			"/system/df?type=image",
			"/system/df?type=build-cache",
			"/system/df?type=bad",
			"/system/df?type=container&type=volume",
			"/system/df?verbose=1",
			"/events?since=1&until=2",
			"/events?since=bad",
			"/events?until=bad",
			"/events?filters=bad",
			"/events?since=3&until=1",
			filtered("/events?since=1&until=2", { bad: ["x"] }),
			filtered("/events?since=1&until=2", { type: ["bad"] }),
			filtered("/events?since=1&until=2", { event: ["bad"] }),
			filtered("/events?since=1&until=2", { scope: ["bad"] }),
			"/nosuch",
			"/containers",
			"/containers/",
			"/containers/x/nosuch",
			"/swarm",
			"/nodes",
			"/services",
			"/tasks",
			"/secrets",
			"/configs",
			"/plugins",
			"/swarm/unlockkey",
			"/plugins/x/json",
			"/session",
			"/images/json",
			"/images/nosuch/json",
			"/networks/nosuch",
		].map((path) => one(`get${path}`, get(path))),
		one(
			"ping-head",
			{ method: "HEAD", path: "/_ping" },
			{ method: "POST", path: "/_ping" },
			{ method: "OPTIONS", path: "/containers/json" },
			{ method: "PUT", path: "/containers/json" },
			{ method: "DELETE", path: "/info" },
		),
		...(["text/plain", "", "application/json; charset=utf-8", "application/x-www-form-urlencoded"] as const).map(
			(type) =>
				one(
					`content-type/${type}`,
					{ method: "POST", path: "/volumes/create", body: '{"Name":"cmpv"}', headers: { "content-type": type } },
					{
						method: "POST",
						path: "/containers/create",
						body: '{"Image":"busybox","Cmd":["true"]}',
						headers: { "content-type": type },
					},
				),
		),
		...[
			"",
			"{",
			"{}{}",
			'{"Image":"busybox"} x',
			"nul",
			'{"image":"busybox","cmd":["true"]}',
			'{"Image":"busybox","Image":"nosuch"}',
			'{"Image":"busybox","Cmd":["true"]}\n\n',
			"[]",
			"1",
		].map((body) => one(`raw/${body}`, { method: "POST", path: "/containers/create", body })),
		...[
			"?name=cmp-a",
			"?name=/cmp-a",
			"?name=a",
			"?name=",
			"?name=a%20b",
			"?name=%2F",
			"?name=a/b",
			"?platform=linux/amd64",
			"?platform=linux/arm64",
			"?platform=bad",
			"?platform=windows",
			"?platform=linux/amd64/v9",
			"?platform=a/b/c/d",
			"?name=-a",
			"?name=_a",
		].map((query) =>
			one(
				`create${query}`,
				{ method: "POST", path: `/containers/create${query}`, body: { Image: "busybox", Cmd: ["true"] } },
				{ method: "POST", path: `/containers/create${query}`, body: { Image: "busybox", Cmd: ["true"] } },
				{ method: "GET", path: "/containers/{ID}/json" },
			),
		),
		eventsCase(),
	];
}

/** What is told of a whole life. */
function eventsCase(): Case {
	const container = { Image: "busybox", Cmd: ["sleep", "100"], Labels: { cmpevents: "1" } };
	const steps = [
		"start",
		"pause",
		"unpause",
		"resize?h=1&w=1",
		"rename?name=cmp-renamed",
		"kill?signal=USR1",
		"restart?t=0",
		"stop?t=0",
		"start",
		"kill",
	].map((path): Step => ({ method: "POST", path: `/containers/{ID}/${path}`, quiet: true }));
	const exec: Step[] = [
		{ method: "POST", path: "/containers/{ID}/exec", body: { Cmd: ["true"] }, quiet: true },
		{ method: "POST", path: "/exec/{EXEC}/start", body: {}, quiet: true },
	];
	return {
		name: "events/life",
		steps: [
			{ method: "POST", path: "/containers/create?name=cmp-events", body: container, quiet: true },
			...steps.slice(0, 1),
			...exec,
			...steps.slice(1, 6),
			{ method: "GET", path: "/containers/{ID}/archive?path=/etc/passwd", quiet: true },
			{ method: "GET", path: "/containers/{ID}/top", quiet: true },
			{ method: "POST", path: "/containers/{ID}/update", body: { CpuShares: 512 }, quiet: true },
			...steps.slice(6),
			{ method: "POST", path: "/containers/{ID}/wait", quiet: true },
			{ method: "DELETE", path: "/containers/{ID}", quiet: true },
			get(filtered("/events?since=1&until={NOW}", { label: ["cmpevents"], container: ["cmp-events", "cmp-renamed"] })),
			get(filtered("/events?since=1&until={NOW}", { container: ["{ID}"] })),
		],
	};
}
