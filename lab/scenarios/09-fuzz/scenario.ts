import { readdirSync } from "node:fs";
import { CORE_OPERATIONS } from "../../../src/api/coverage/core-operations.ts";
import type { Operation } from "../../../src/api/coverage/shape.ts";
import { SWARM_OPERATIONS } from "../../../src/api/coverage/swarm-operations.ts";
import { createRandom } from "../../fuzz/random.ts";
import { type Existing, type FuzzRequest, requestsOf } from "../../fuzz/requests.ts";
import { type Answer, send } from "../../fuzz/send.ts";
import { createWorld, RUNNING, STOPPED, type World } from "../../fuzz/world.ts";
import { CheckFailed, equal, eventually } from "../../lib/assert.ts";
import { logLines } from "../../lib/engine.ts";
import { loadImage } from "../../lib/load-image.ts";
import { type Lab, type Scenario, step } from "../../lib/scenario.ts";

const SEED = Number(process.env.FOREDECK_FUZZ_SEED ?? 51);
/** How often each parameter and each field is tried. */
const EACH = Number(process.env.FOREDECK_FUZZ_EACH ?? 16);
/** Descriptors that caches and keep-alive connections may hold after it, beyond those before it. */
const MORE_DESCRIPTORS = 24;

/** Answers above 499 that are right, each with its reason. */
const EXPECTED: readonly { readonly status: number; readonly path: RegExp; readonly text: RegExp }[] = [
	// operations that are not there yet, named in src/api/unsupported.ts
	{ status: 501, path: /./, text: /is not supported yet/ },
	// an engine outside a swarm, as docker says it
	{ status: 503, path: /^\/(swarm|nodes|services|tasks|secrets|configs|volumes)/, text: /swarm/ },
	// limits that the kernel refuses beside those there are: docker's 500 too
	{ status: 500, path: /^\/containers\/\{id\}\/update$/, text: /OCI runtime update failed: writing file/ },
	// docker's word and number for it
	{ status: 500, path: /^\/networks\/\{id\}\/disconnect$/, text: /is not connected to (the )?network/ },
	// a registry that nobody listens for, and none that is left out: docker's 500
	{ status: 500, path: /^\/(auth|distribution|images)/, text: /127\.0\.0\.1:1|connection refused/ },
];

/** What a request that succeeded has made is removed again. */
async function undo(world: World, { operation: { path } }: FuzzRequest, { status, text }: Answer): Promise<void> {
	if (status !== 201 || !text.startsWith("{")) return;
	const made = JSON.parse(text) as { Id?: string; Name?: string };
	const gone = [404, 409];
	if (path === "/containers/create") await world.call("DELETE", `/containers/${made.Id}?force=1&v=1`, undefined, gone);
	if (path === "/commit") await world.call("DELETE", `/images/${made.Id}?force=1`, undefined, gone);
	if (path === "/volumes/create") await world.call("DELETE", `/volumes/${made.Name}?force=1`, undefined, gone);
	if (path === "/networks/create") await world.call("DELETE", `/networks/${made.Id}`, undefined, gone);
}

function faultOf({ operation, url, body }: FuzzRequest, { status, text }: Answer): string | undefined {
	const { method, path } = operation;
	const allowed = EXPECTED.some((one) => one.status === status && one.path.test(path) && one.text.test(text));
	if (status !== 0 && (status < 500 || allowed)) return undefined;
	const sent = body ? ` with ${JSON.stringify(Buffer.from(body).toString().slice(0, 200))}` : "";
	return `${method} ${url.slice(0, 200)}${sent}: ${status} ${text.slice(0, 200)}`;
}

/** Operations that change what the others are about. */
const changes = ({ method, path }: Operation) =>
	method !== "GET" && method !== "HEAD" && /^\/(containers|exec)\/\{/.test(path);

const socketOf = ({ engine }: Lab) => engine.host.slice("unix://".length);

/** Of all areas: one bad answer does not keep the others from being asked. */
const faults: string[] = [];

async function fuzz(lab: Lab, operations: readonly Operation[]): Promise<void> {
	const socket = socketOf(lab);
	const world = createWorld(socket);
	const daemon = lab.engine.pid;
	const random = createRandom(SEED);
	let exec = await world.restore();
	for (const operation of operations) {
		for (const request of requestsOf(operation, existingFor(operation, exec), EACH, random)) {
			const answer = await send(socket, request);
			const fault = faultOf(request, answer);
			if (fault !== undefined) faults.push(fault);
			if (lab.engine.pid !== daemon) throw new CheckFailed(`the daemon ended at ${fault ?? request.url}`);
			await undo(world, request, answer);
			if (answer.status > 0 && answer.status < 300 && changes(operation)) exec = await world.restore();
		}
	}
}

/** The image that containers are made from is not to be removed. */
function existingFor({ method, path }: Operation, exec: string): Existing {
	const containers = path.endsWith("/start") ? STOPPED : RUNNING;
	return { containers, exec, images: method === "DELETE" ? "none" : "busybox", networks: "bridge" };
}

const descriptors = (pid: number) => readdirSync(`/proc/${pid}/fd`).length;
let before = 0;

export const scenario: Scenario = {
	title: "no request, whatever is in it, provokes a fault, a hang or a leak",
	steps: [
		step("an image loads; containers to aim at", async (lab) => {
			await loadImage(lab, "busybox");
			await createWorld(socketOf(lab)).restore();
			before = descriptors(lab.engine.pid ?? 0);
		}),
		...["containers", "exec", "images", "build", "networks", "volumes", "system"].map((area) =>
			step(`${area}: hostile values in every parameter and field`, async (lab) => {
				await fuzz(
					lab,
					CORE_OPERATIONS.filter((operation) => operation.area === area),
				);
			}),
		),
		step("swarm and plugins likewise", async (lab) => await fuzz(lab, SWARM_OPERATIONS)),
		step("no answer is above 499 but the expected ones, none is missing", async () => {
			if (faults.length > 0) throw new CheckFailed(`${faults.length} answers:\n  ${faults.slice(0, 40).join("\n  ")}`);
		}),
		step("what there was is there, and nothing more; no fault in the log; descriptors given back", async (lab) => {
			await createWorld(socketOf(lab)).restore();
			equal(
				(await lab.docker("ps", "-a", "--format", "{{.Names}}")).split("\n").sort(),
				[STOPPED, RUNNING],
				"containers",
			);
			equal(await lab.docker("exec", RUNNING, "echo", "alive"), "alive", "docker exec");
			equal(await lab.docker("volume", "ls", "-q"), "", "volumes");
			const networks = await lab.docker("network", "ls", "--format", "{{.Name}}");
			equal(
				networks.split("\n").sort(),
				["bridge", "disabled", "full", "host", "loopback", "none", "outbound"],
				"networks",
			);
			const faults = logLines(lab.engine.logFile).filter(({ level, text }) => level === "error" || text !== undefined);
			equal(faults.slice(0, 5), [], "faults in the log");
			const given = () => descriptors(lab.engine.pid ?? 0) <= before + MORE_DESCRIPTORS;
			await eventually("descriptors given back", given, { withinMs: 3000 });
		}),
	],
};
