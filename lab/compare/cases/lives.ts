import type { Step } from "../talk.ts";
import type { Case } from "./case.ts";

const LABELS = { cmp: "1" };
const SLEEPER = { Image: "busybox", Cmd: ["sleep", "100"], Labels: LABELS };
const quiet = (method: string, path: string, body?: unknown): Step => ({
	method,
	path,
	quiet: true,
	...(body !== undefined && { body }),
});
const get = (path: string, version?: string): Step => ({
	method: "GET",
	path,
	...(version !== undefined && { version }),
});
const post = (path: string, body?: unknown): Step => ({ method: "POST", path, ...(body !== undefined && { body }) });
const act = (action: string) => quiet("POST", `/containers/{ID}/${action}`);
const named = (body: object, name: string) => quiet("POST", `/containers/create?name=${name}`, body);
const told = get(`/events?since=1&until={NOW}&filters=${encodeURIComponent(JSON.stringify({ container: ["{ID}"] }))}`);

/** What is told of lives that end in other ways than by themselves: which events, and in which order. */
const ENDS: Readonly<
	Record<string, { readonly host?: object; readonly config?: object; readonly steps: readonly Step[] }>
> = {
	"stop-rm": {
		host: { AutoRemove: true },
		steps: [act("start"), act("stop?t=0"), quiet("POST", "/containers/{ID}/wait?condition=removed")],
	},
	"kill-paused": { steps: [act("start"), act("pause"), act("kill")] },
	"stop-paused": { config: { StopSignal: "KILL" }, steps: [act("start"), act("pause"), act("stop")] },
	"remove-forced": { steps: [act("start"), quiet("DELETE", "/containers/{ID}?force=1")] },
	"start-failed": { config: { Cmd: ["nosuch"] }, steps: [act("start")] },
	"start-failed-host": { config: { Cmd: ["nosuch"] }, host: { NetworkMode: "host" }, steps: [act("start")] },
	volume: {
		host: { Binds: ["cmp-life:/v"] },
		steps: [
			act("start"),
			act("kill"),
			act("wait"),
			quiet("DELETE", "/containers/{ID}"),
			quiet("DELETE", "/volumes/cmp-life"),
		],
	},
};
const ends = Object.entries(ENDS).map(
	([name, { host = {}, config = {}, steps }]): Case => ({
		name: `events/${name}`,
		steps: [named({ ...SLEEPER, ...config, HostConfig: host }, "cmp-life"), ...steps, told],
	}),
);

const links: Case = {
	name: "links",
	steps: [
		named(SLEEPER, "cmp-db"),
		act("start"),
		named({ ...SLEEPER, HostConfig: { Links: ["cmp-db:al", "cmp-db"] } }, "cmp-web"),
		act("start"),
		get("/containers/cmp-web/al/json"),
		get("/containers/cmp-web%2Fal/json"),
		get("/containers/cmp-web/no/json"),
		get(`/containers/json?filters=${encodeURIComponent(JSON.stringify({ name: ["cmp-db"] }))}`),
		post("/containers/cmp-web/al/restart?t=0"),
		post("/containers/cmp-db/rename?name=cmp-base"),
		post("/containers/cmp-web/rename?name=cmp-site"),
		get("/containers/{ID}/json"),
		{ method: "DELETE", path: "/containers/cmp-site/al?link=1" },
		{ method: "DELETE", path: "/containers/cmp-site/al?link=1" },
		{ method: "DELETE", path: "/containers/cmp-site?link=1" },
		get("/containers/{ID}/json"),
	],
};

/** The working directory of one that was never started. */
const workingDirs = ["/made/deep", "/etc/passwd/x", "/proc/self"].map(
	(WorkingDir): Case => ({
		name: `working-dir/${WorkingDir}`,
		steps: [
			post("/containers/create", { ...SLEEPER, WorkingDir }),
			{ method: "HEAD", path: `/containers/{ID}/archive?path=${WorkingDir}` },
			get("/containers/{ID}/changes"),
			act("start"),
			get("/containers/{ID}/changes"),
		],
	}),
);

const programs = ["/etc", "/etc/passwd", "/etc/passwd/x", ".", "..", "./etc"].map(
	(program): Case => ({
		name: `program/${program}`,
		steps: [
			quiet("POST", "/containers/create", SLEEPER),
			act("start"),
			post("/containers/{ID}/exec", { Cmd: [program], AttachStdout: true }),
			post("/exec/{EXEC}/start", { Detach: false }),
			get("/exec/{EXEC}/json"),
			quiet("POST", "/containers/create", { ...SLEEPER, Cmd: [program] }),
			post("/containers/{ID}/start"),
			get("/containers/{ID}/json"),
		],
	}),
);

const image = `filters=${encodeURIComponent(JSON.stringify({ reference: ["busybox"] }))}`;
const images = ["1.24", "1.42", "1.43", "1.44", "1.45", "1.49", "1.50", "1.51"].map(
	(version): Case => ({
		name: `image/${version}`,
		steps: [get("/images/busybox/json", version), get(`/images/json?${image}`, version)],
	}),
);

const ports: Case = {
	name: "ports-without-protocol",
	steps: [
		post("/containers/create", { ...SLEEPER, ExposedPorts: { "80": {}, "53/udp": {} } }),
		act("start"),
		get("/containers/{ID}/json"),
		get(`/containers/json?filters=${encodeURIComponent(JSON.stringify({ id: ["{ID}"] }))}`),
	],
};

const refused: Case = {
	name: "refused",
	steps: [
		post(`/images/prune?filters=${encodeURIComponent(JSON.stringify({ label: ["cmp-none"], until: ["bad"] }))}`),
		post("/networks/bridge/disconnect", { Container: "cmp-none", Force: true }),
		post("/networks/bridge/disconnect", { Container: "cmp-none" }),
		get("/containers/json?all=1;limit=1"),
		get("/containers/json?filters=%zz"),
		get("/containers//json"),
		get("/_ping/"),
		{ method: "POST", path: "/containers/create", body: SLEEPER, headers: { "content-type": "application/json; x" } },
	],
};

/** Lives and views that the other groups do not touch. */
export function livesCases(): Case[] {
	return [...ends, links, ...workingDirs, ...programs, ...images, ports, refused];
}
