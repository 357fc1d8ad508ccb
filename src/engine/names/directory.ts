import { shortId } from "../../shared/id.ts";
import { dnsNames } from "../containers/endpoints.ts";
import { parseLink } from "../containers/link-names.ts";
import type { ContainerRecord, EndpointSettings } from "../containers/record.ts";
import type { NameDirectory } from "./contract.ts";

export interface NameDirectoryOptions {
	/** All records; only running ones (paused too) get names. */
	readonly containers: () => readonly ContainerRecord[];
	/** Changes whenever a record's name, state or network does: the index is rebuilt at the next question. */
	readonly revision: () => number;
	/** fd.local: PTR answers are `<name>.<domain>`. */
	readonly domain: string;
	/** The networks of a sandbox, best first; asked of what is, for a container asks for names before its record says that it runs. */
	readonly networksOf: (containerId: string) => readonly SandboxNetwork[];
}

export interface SandboxNetwork {
	readonly id: string;
	readonly name: string;
	readonly internal: boolean;
	/** Names of other containers are none of its members' business. */
	readonly alone?: boolean;
}

type Names = Map<string, readonly string[]>;

interface Index {
	readonly fromHost: Names;
	/** By network id. */
	readonly inside: ReadonlyMap<string, Names>;
	/** By address: the name, and the id of the network it is on. */
	readonly byAddress: ReadonlyMap<string, { readonly name: string; readonly network: string }>;
	/** By container id and network: `--link CONTAINER:ALIAS` as alias to container. */
	readonly links: ReadonlyMap<string, ReadonlyMap<string, ReadonlyMap<string, string>>>;
}

/**
 * Names of running containers. On each network: name, aliases, short id, host name; several containers with one name share it; a name wins over
 * another container's short id. From the host: the name, and compose's service and project. A container without an address is known to the host, with none.
 */
export function createNameDirectory(options: NameDirectoryOptions): NameDirectory {
	let index: Index | undefined;
	let builtAt: number | undefined;
	const current = (): Index => {
		const revision = options.revision();
		if (index === undefined || builtAt !== revision) {
			index = buildIndex(options.containers(), options.domain);
			builtAt = revision;
		}
		return index;
	};
	const networksOf = (containerId: string | undefined) => (containerId ? options.networksOf(containerId) : []);
	const shared = (containerId: string | undefined) => networksOf(containerId).filter(({ alone }) => !alone);
	return {
		fromSandbox(containerId, name) {
			const { inside, links } = current();
			const linked = links.get(containerId ?? "");
			for (const network of shared(containerId)) {
				const names = inside.get(network.id);
				const target = linked?.get(network.name)?.get(name) ?? name;
				const found = names?.get(target) ?? names?.get(withoutNetwork(target, network.name));
				if (found) return found;
			}
			return undefined;
		},
		mayAskHost(containerId) {
			const networks = networksOf(containerId);
			return networks.length === 0 || networks.some(({ alone }) => !alone);
		},
		fromHost: (label) => current().fromHost.get(label),
		nameOf(address, containerId) {
			const found = current().byAddress.get(address);
			if (!found) return undefined;
			const visible = containerId === undefined || shared(containerId).some(({ id }) => id === found.network);
			return visible ? found.name : undefined;
		},
		mayAskOutside(containerId) {
			const networks = networksOf(containerId);
			return networks.length === 0 || networks.some(({ internal }) => !internal);
		},
	};
}

function buildIndex(containers: readonly ContainerRecord[], domain: string): Index {
	const running = containers.filter(({ state }) => state.status === "running" || state.status === "paused");
	const fromHost: Names = new Map();
	const inside = new Map<string, Names>();
	const byAddress = new Map<string, { name: string; network: string }>();
	for (const container of running) {
		const name = container.name.toLowerCase();
		add(fromHost, name, addressesOf(container));
		for (const endpoint of container.network?.endpoints ?? []) {
			const found = { name: `${name}.${domain}`, network: endpoint.networkId };
			for (const address of bothOf(endpoint)) byAddress.set(address, found);
		}
	}
	for (const container of running) {
		const service = serviceOf(container);
		if (service) add(fromHost, service, addressesOf(container));
	}
	addIds(running, fromHost);
	for (const container of running) addInside(inside, container);
	// Of all: the first that a program does may be to ask, before the record says that it runs.
	return { fromHost, inside, byAddress, links: new Map(containers.map((one) => [one.id, linksOf(one)])) };
}

/** A name wins over another container's id. */
function addIds(running: readonly ContainerRecord[], names: Names): void {
	for (const container of running) {
		const id = shortId(container.id);
		if (!names.has(id)) names.set(id, addressesOf(container));
	}
}

function addInside(inside: Map<string, Names>, container: ContainerRecord): void {
	for (const endpoint of container.network?.endpoints ?? []) {
		const { networkId, networkName } = endpoint;
		const names = inside.get(networkId) ?? new Map();
		inside.set(networkId, names);
		const config = container.networks?.find((one) => one.networkName === networkName);
		const own = new Set(dnsNames(container, config?.aliases).map((name) => name.toLowerCase()));
		for (const name of own) add(names, name, bothOf(endpoint));
	}
}

function add(names: Names, name: string, addresses: readonly string[]): void {
	names.set(name, [...(names.get(name) ?? []), ...addresses]);
}

/** `web.shop` of compose's service `web` in project `shop`. */
function serviceOf({ config }: ContainerRecord): string | undefined {
	const { "com.docker.compose.project": project, "com.docker.compose.service": service } = config.Labels;
	return project && service ? `${service}.${project}`.toLowerCase() : undefined;
}

/** Aliases of linked containers, by the network that they were asked for on. */
function linksOf({ networks = [], hostConfig }: ContainerRecord): ReadonlyMap<string, ReadonlyMap<string, string>> {
	const byNetwork = new Map<string, Map<string, string>>();
	const mode = hostConfig?.NetworkMode ?? "default";
	const own = { networkName: mode === "default" ? "bridge" : mode, links: hostConfig?.Links ?? [] };
	for (const { networkName, links = [] } of [own, ...networks]) {
		const known = byNetwork.get(networkName) ?? new Map<string, string>();
		for (const { alias, target } of links.map(parseLink)) known.set(alias.toLowerCase(), target.toLowerCase());
		byNetwork.set(networkName, known);
	}
	return byNetwork;
}

function withoutNetwork(name: string, network: string): string {
	const ending = `.${network.toLowerCase()}`;
	return name.endsWith(ending) ? name.slice(0, -ending.length) : name;
}

function addressesOf(container: ContainerRecord): string[] {
	return (container.network?.endpoints ?? []).flatMap(bothOf);
}

function bothOf({ ipAddress, ipv6Address }: EndpointSettings): string[] {
	return [ipAddress, ipv6Address].flatMap((address) => (address ? [address] : []));
}
