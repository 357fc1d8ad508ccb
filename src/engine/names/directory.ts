import { shortId } from "../../shared/id.ts";
import type { ContainerRecord } from "../containers/record.ts";
import type { NameDirectory } from "./contract.ts";

export interface NameDirectoryOptions {
	/** All records; only running ones (paused too) get names. */
	readonly containers: () => readonly ContainerRecord[];
	/** Changes whenever a record's name, state or network does: the index is rebuilt at the next question. */
	readonly revision: () => number;
	/** fd.local: PTR answers are `<name>.<domain>`. */
	readonly domain: string;
}

interface Index {
	readonly byName: ReadonlyMap<string, readonly string[]>;
	readonly byAddress: ReadonlyMap<string, string>;
}

/** Names of running containers on the bridge network: name and short id; a name wins over another container's id. A container without an address is known, with none. */
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
	const lookup = (name: string) => current().byName.get(name);
	return {
		fromSandbox: (_containerId, name) => lookup(name),
		fromHost: lookup,
		nameOf: (address) => current().byAddress.get(address),
	};
}

function buildIndex(containers: readonly ContainerRecord[], domain: string): Index {
	const byName = new Map<string, readonly string[]>();
	const byAddress = new Map<string, string>();
	const running = containers.filter(({ state }) => state.status === "running" || state.status === "paused");
	for (const container of running) {
		const name = container.name.toLowerCase();
		const addresses = addressesOf(container);
		if (!byName.has(name)) byName.set(name, addresses);
		for (const address of addresses) byAddress.set(address, `${name}.${domain}`);
	}
	for (const container of running) {
		const id = shortId(container.id);
		if (!byName.has(id)) byName.set(id, addressesOf(container));
	}
	return { byName, byAddress };
}

function addressesOf(container: ContainerRecord): string[] {
	return (container.network?.endpoints ?? []).flatMap(({ ipAddress }) => (ipAddress ? [ipAddress] : []));
}
