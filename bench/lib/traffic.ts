import { BASE } from "../../lab/images/recipes.ts";
import { type PackageImage, packageImage } from "../../lab/lib/package-image.ts";
import type { Bench } from "./bench.ts";
import { act, createContainer, type Engine, withConnection } from "./engine.ts";
import { execIn } from "./exec.ts";
import type { Connection } from "./http.ts";
import { loadArchive } from "./images.ts";
import { addressOn, createNetwork, removeNetwork } from "./networks.ts";

const NGINX = `worker_processes 1;
error_log stderr;
events {}
http {
	access_log off;
	keepalive_requests 1000000;
	server { listen 80; location / { return 200 "hello\\n"; } }
}`;

/** What makes traffic and what takes it: ping is in the base. */
const IMAGE: PackageImage = {
	packages: ["fping", "iperf3", "nginx", "wrk"],
	finish: `mkdir -p /var/lib/nginx /var/log/nginx; printf '%s\\n' '${NGINX}' >/etc/nginx/nginx.conf`,
	config: { tag: "foredeck-bench/traffic:latest" },
};
const NETWORK = "foredeck-bench-traffic";
const SERVER = ["sh", "-c", "nginx; exec iperf3 -s"];
const IPERF_PORT = "5201/tcp";
const READY_TRIES = 100;
/** Others may still be clearing up after their turn, on the same cores. */
const SETTLE_MS = 700;

/** A server and clients: containers of one engine. */
export interface Traffic {
	readonly engine: Engine;
	/** Runs a command in a container on the server's network, or on the host's. */
	readonly client: (command: readonly string[]) => Promise<string>;
	/** Where it finds the server: its own address, or the host's where the port is published. */
	readonly address: string;
	/** Of iperf3 there. */
	readonly port: number;
}

type Where = "beside" | "internal" | "host";
type Figure = (traffic: Traffic) => Promise<number>;

/** A figure of the traffic between two containers on a network made for it, which may be internal, or from the host's network to a port published on 127.0.0.1. */
export function trafficBench(figure: Figure, where: Where = "beside"): Pick<Bench, "prepare" | "measure" | "cleanup"> {
	const prepared = new Map<string, Traffic>();
	return {
		prepare: async (engine) => void prepared.set(engine.name, await prepare(engine, where)),
		async measure({ name }) {
			const traffic = prepared.get(name);
			if (!traffic) throw new Error("not prepared");
			await Bun.sleep(SETTLE_MS);
			return await figure(traffic);
		},
		cleanup: (engine) => removeNetwork(engine, NETWORK),
	};
}

/** Megabits per second that arrive, over so many connections at once. */
export function throughput(streams: number): Figure {
	return async ({ client, address, port }) => {
		const report = await client(["iperf3", "-J", "-t", "1", "-P", `${streams}`, "-c", address, "-p", `${port}`]);
		const { end } = JSON.parse(report) as { end: { sum_received: { bits_per_second: number } } };
		return end.sum_received.bits_per_second / 1e6;
	};
}

/** HTTP requests per second over 16 connections, kept alive or each used once. */
export function requests(mode: "kept" | "once"): Figure {
	return async ({ client, address }) => {
		const header = mode === "once" ? ["-H", "Connection: close"] : [];
		const report = await client(["wrk", "-t1", "-c16", "-d1s", ...header, `http://${address}/`]);
		const problem = /Non-2xx.*|Socket errors.*/.exec(report)?.[0];
		if (problem !== undefined) throw new Error(problem);
		return Number(/Requests\/sec:\s+([\d.]+)/.exec(report)?.[1]);
	};
}

/** Microseconds of one echo's way and back: the median of 300. */
export async function roundTrip({ client, address }: Traffic): Promise<number> {
	const report = await client(["ping", "-n", "-c", "300", "-i", "0.003", address]);
	const times = roundTrips(report);
	if (times.length < 300) throw new Error(`${times.length} of 300 echoes came back`);
	return (times.sort((a, b) => a - b)[times.length >> 1] ?? Number.NaN) * 1000;
}

/** `time=0.034 ms` of each line, ms. */
export function roundTrips(report: string): number[] {
	return [...report.matchAll(/time=([\d.]+) ms/g)].map(([, time]) => Number(time));
}

/** Makes sure of the image. */
export async function loadTrafficImage(engine: Engine): Promise<string> {
	return await loadArchive(engine, IMAGE.config.tag, () => packageImage(IMAGE, BASE));
}

async function prepare(engine: Engine, where: Where): Promise<Traffic> {
	const image = await loadTrafficImage(engine);
	await createNetwork(engine, NETWORK, { Internal: where === "internal" });
	return await withConnection(engine, async (connection) => {
		const hostPort = 20_000 + Math.floor(Math.random() * 10_000);
		const published = { PortBindings: { [IPERF_PORT]: [{ HostIp: "127.0.0.1", HostPort: `${hostPort}` }] } };
		const server = await start(connection, image, SERVER, { NetworkMode: NETWORK, ...(where === "host" && published) });
		const idle = ["sleep", "1000000"];
		const id = await start(connection, image, idle, { NetworkMode: where === "host" ? "host" : NETWORK });
		const traffic: Traffic = {
			engine,
			client: (command) => execIn(engine, id, command),
			...(where === "host"
				? { address: "127.0.0.1", port: hostPort }
				: { address: await addressOn(connection, server, NETWORK), port: 5201 }),
		};
		await ready(traffic);
		return traffic;
	});
}

async function start(
	connection: Connection,
	image: string,
	command: readonly string[],
	hostConfig: Record<string, unknown>,
): Promise<string> {
	const id = await createContainer(connection, { image, command, hostConfig });
	await act(connection, "POST", `/containers/${id}/start`);
	return id;
}

async function ready({ client, address, port }: Traffic): Promise<void> {
	const attempt = ["iperf3", "-n", "1", "-c", address, "-p", `${port}`];
	for (let tries = 1; ; tries++) {
		try {
			return void (await client(attempt));
		} catch (error) {
			if (tries === READY_TRIES) throw error;
			await Bun.sleep(50);
		}
	}
}
