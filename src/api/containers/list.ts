import type { Containers } from "../../engine/containers/contract.ts";
import type { ContainerRecord } from "../../engine/containers/record.ts";
import type { Images } from "../../engine/images/contract.ts";
import { EngineError } from "../../shared/errors.ts";
import { invalid } from "../errors.ts";
import { boolFilter, type Filters, filtersOf, matchesLabel, matchesPattern } from "../filters.ts";
import { boolOf, intOf } from "../query.ts";
import { isUp, portList, summaryView } from "./view.ts";

const FILTERS = [
	"ancestor",
	"before",
	"since",
	"exited",
	"expose",
	"publish",
	"health",
	"id",
	"is-task",
	"isolation",
	"label",
	"name",
	"network",
	"status",
	"volume",
];
const STATUSES = ["created", "running", "paused", "restarting", "removing", "exited", "dead"];
/** Minor API version. */
const ANNOTATIONS_SINCE = 46;
const HEALTHS = ["none", "starting", "healthy", "unhealthy"];

/** `GET /containers/json`, drawn once per query, change and second: nothing in it moves faster. */
export class ContainerList {
	private readonly drawn = new Map<string, { key: string; body: Buffer }>();

	constructor(
		private readonly containers: Containers,
		private readonly images: Images,
	) {}

	/**
	 * @param query the raw query text without its question mark
	 * @param minor of the client's API version
	 */
	async draw(query: string, minor = 51): Promise<Buffer> {
		const now = Date.now();
		const key = `${this.containers.revision}.${this.images.revision}.${Math.floor(now / 1000)}`;
		const name = `${minor >= ANNOTATIONS_SINCE} ${query}`;
		const known = this.drawn.get(name);
		if (known?.key === key) return known.body;
		const body = Buffer.from(`${JSON.stringify(await this.rows(new URLSearchParams(query), now, minor))}\n`);
		// few clients ask different questions at once; a flood of them must not fill the memory
		if (this.drawn.size >= 16) this.drawn.clear();
		this.drawn.set(name, { key, body });
		return body;
	}

	private async rows(query: URLSearchParams, now: number, minor: number) {
		const filters = filtersOf(query, FILTERS);
		const limit = intOf(query, "limit") ?? 0;
		const all = boolOf(query, "all") || limit > 0 || filters.has("status");
		const chosen = this.select(filters, all);
		const cut = limit > 0 ? chosen.slice(0, limit) : chosen;
		const annotated = minor >= ANNOTATIONS_SINCE;
		const links = this.containers.linkNames();
		const rows = cut.map((record) => {
			const row = summaryView(record, now, this.imageName(record), annotated);
			return { ...row, Names: [...row.Names, ...(links.get(record.id) ?? []).map((name) => `/${name}`)].toSorted() };
		});
		if (!boolOf(query, "size")) return rows;
		return Promise.all(
			rows.map(async (row) => {
				const sizes = await this.containers.sizes(row.Id);
				// Go leaves out a size of 0 here, and not in inspect.
				return { ...row, ...(sizes.rw > 0 && { SizeRw: sizes.rw }), SizeRootFs: sizes.rootFs };
			}),
		);
	}

	/** The name asked for while it still leads to the image, else the image's id. */
	private imageName(record: ContainerRecord): string {
		try {
			return this.images.resolve(record.config.Image).id === record.imageId ? record.config.Image : record.imageId;
		} catch {
			return record.imageId;
		}
	}

	private select(filters: Filters, all: boolean): ContainerRecord[] {
		check(filters);
		const records = this.containers.list();
		const older = filters.get("before").map((ref) => this.containers.inspect(ref).created);
		const newer = filters.get("since").map((ref) => this.containers.inspect(ref).created);
		const ancestors = this.ancestors(filters);
		return records.filter(
			(record) =>
				(all || isUp(record.state) || record.state.status === "restarting") &&
				older.every((time) => record.created < time) &&
				newer.every((time) => record.created > time) &&
				(!ancestors || record.imageChain.some((layer) => ancestors.has(layer)) || ancestors.has(record.imageId)) &&
				matches(record, filters),
		);
	}

	/** An image and everything built on it: its topmost chainID is among theirs. */
	private ancestors(filters: Filters): Set<string> | undefined {
		if (!filters.has("ancestor")) return undefined;
		const found = new Set<string>();
		for (const ref of filters.get("ancestor")) {
			try {
				const image = this.images.resolve(ref);
				found.add(image.id);
				const top = image.chain.at(-1);
				if (top) found.add(top);
			} catch (error) {
				if (!(error instanceof EngineError)) throw error;
			}
		}
		return found;
	}
}

function check(filters: Filters): void {
	for (const status of filters.get("status")) {
		if (!STATUSES.includes(status)) throw notOneOf("status", "state", status, STATUSES);
	}
	for (const health of filters.get("health")) {
		if (!HEALTHS.includes(health)) throw notOneOf("health", "health", health, HEALTHS);
	}
	for (const code of filters.get("exited")) {
		if (!/^-?\d+$/.test(code)) {
			throw invalid(`invalid filter 'exited=${code}': strconv.Atoi: parsing ${JSON.stringify(code)}: invalid syntax`);
		}
	}
	for (const port of [...filters.get("expose"), ...filters.get("publish")]) {
		if (!/^\d{1,5}(-\d{1,5})?(\/(tcp|udp|sctp))?$/.test(port)) throw invalid(`invalid port: ${port}`);
	}
}

function notOneOf(filter: string, noun: string, value: string, allowed: readonly string[]) {
	return invalid(
		`invalid filter '${filter}=${value}': invalid value for ${noun} (${value}): must be one of ${allowed.join(", ")}`,
	);
}

function matches(record: ContainerRecord, filters: Filters): boolean {
	const state = record.state;
	return (
		filters.any("id", (id) => record.id.startsWith(id) || matchesPattern(record.id, id)) &&
		filters.any("name", (name) => matchesPattern(record.name, name) || matchesPattern(`/${record.name}`, name)) &&
		filters.every("label", (label) => matchesLabel(record.config.Labels, label)) &&
		filters.any("status", (status) => state.status === status) &&
		filters.any("exited", (code) => state.status === "exited" && state.exitCode === Number(code)) &&
		filters.any("health", (health) => health === (record.health?.status ?? "none")) &&
		filters.any("network", (network) => onNetwork(record, network)) &&
		filters.any("volume", (volume) => mountsAt(record, volume)) &&
		hasPort(record, filters) &&
		boolFilter(filters, "is-task") !== true
	);
}

function onNetwork(record: ContainerRecord, network: string): boolean {
	if (record.hostConfig.NetworkMode === network) return true;
	const endpoints = record.network?.endpoints ?? [];
	return endpoints.some((one) => one.networkName === network || one.networkId.startsWith(network));
}

function mountsAt({ mounts = [] }: ContainerRecord, wanted: string): boolean {
	return mounts.some(({ name, source, target }) => wanted === target || wanted === (name ?? source));
}

function inRange(wanted: string, port: number, protocol: string): boolean {
	const [range = "", type = "tcp"] = wanted.split("/");
	const [from = 0, to = from] = range.split("-").map(Number);
	return type === protocol && port >= from && port <= to;
}

/** `publish` asks for the host's ports, `expose` for the container's; either will do, and only of what runs. */
function hasPort(record: ContainerRecord, filters: Filters): boolean {
	const [published, exposed] = [filters.get("publish"), filters.get("expose")];
	if (published.length === 0 && exposed.length === 0) return true;
	return portList(record).some(
		({ PublicPort, PrivatePort, Type }) =>
			published.some((wanted) => PublicPort !== undefined && inRange(wanted, PublicPort, Type)) ||
			exposed.some((wanted) => inRange(wanted, PrivatePort, Type)),
	);
}
