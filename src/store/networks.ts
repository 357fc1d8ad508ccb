import type { Database } from "bun:sqlite";

/** networks: one row per network; leases: one per address that a container holds. */
export const networksSchema = `
CREATE TABLE networks (
	name TEXT PRIMARY KEY,
	id TEXT NOT NULL UNIQUE,
	driver TEXT NOT NULL,
	created TEXT NOT NULL,
	subnet TEXT,
	bridge TEXT
) STRICT;
CREATE TABLE leases (
	container_id TEXT PRIMARY KEY,
	container_name TEXT NOT NULL,
	network_id TEXT NOT NULL REFERENCES networks(id),
	address TEXT NOT NULL,
	UNIQUE (network_id, address)
) STRICT;
`;

/** Networks that users make: what they asked for stands in `config` as JSON. A container has an address on each of its networks. */
export const userNetworksSchema = `
ALTER TABLE networks ADD COLUMN config TEXT;
ALTER TABLE leases RENAME TO old_leases;
CREATE TABLE leases (
	container_id TEXT NOT NULL,
	container_name TEXT NOT NULL,
	network_id TEXT NOT NULL REFERENCES networks(id) ON DELETE CASCADE,
	address TEXT NOT NULL,
	PRIMARY KEY (container_id, network_id),
	UNIQUE (network_id, address)
) STRICT;
INSERT INTO leases SELECT container_id, container_name, network_id, address FROM old_leases;
DROP TABLE old_leases;
`;

/** A container may have an address of each family on a network. */
export const familiesSchema = `
ALTER TABLE leases RENAME TO old_leases;
CREATE TABLE leases (
	container_id TEXT NOT NULL,
	container_name TEXT NOT NULL,
	network_id TEXT NOT NULL REFERENCES networks(id) ON DELETE CASCADE,
	address TEXT NOT NULL,
	PRIMARY KEY (network_id, address)
) STRICT;
CREATE INDEX leases_by_container ON leases (container_id, network_id);
INSERT INTO leases SELECT container_id, container_name, network_id, address FROM old_leases;
DROP TABLE old_leases;
`;

export interface NetworkRow {
	readonly name: string;
	readonly id: string;
	readonly driver: "bridge" | "macvlan" | "ipvlan" | "host" | "null";
	readonly created: string;
	readonly subnet: string | null;
	readonly bridge: string | null;
	/** Of networks that users made; null of the predefined ones. */
	readonly config: NetworkConfig | null;
}

/** What a user asked of a network, by docker's names where they are docker's. */
export interface NetworkConfig {
	readonly internal: boolean;
	readonly attachable: boolean;
	/** Of the engine's own networks for sandbox modes: neither made nor removed by users. */
	readonly mode?: "disabled" | "loopback" | "outbound" | "full";
	/** No network, but what others are made from. */
	readonly configOnly?: boolean;
	/** Name of the one that this network was made from. */
	readonly configFrom?: string;
	/** The subnet is the client's choice: so may be containers' addresses. */
	readonly subnetAsked: boolean;
	readonly subnet6Asked?: boolean;
	/** Default: true. */
	readonly enableIpv4?: boolean;
	/** Default: false. */
	readonly enableIpv6?: boolean;
	readonly labels: Readonly<Record<string, string>>;
	readonly options: Readonly<Record<string, string>>;
	readonly ipam: {
		readonly driver: string;
		readonly options: Readonly<Record<string, string>> | null;
		/** As asked; the chosen subnet and its gateway where nothing was. */
		readonly config: readonly IpamPool[];
	};
}

export interface IpamPool {
	readonly Subnet: string;
	readonly IPRange?: string;
	readonly Gateway?: string;
	readonly AuxiliaryAddresses?: Readonly<Record<string, string>>;
}

export interface LeaseRow {
	readonly containerId: string;
	readonly containerName: string;
	readonly networkId: string;
	readonly address: string;
}

interface StoredRow extends Omit<NetworkRow, "config"> {
	readonly config: string | null;
}

export class NetworkStore {
	constructor(private readonly database: Database) {}

	/** Oldest first. */
	networks(): NetworkRow[] {
		return this.database.query<StoredRow, []>("SELECT * FROM networks ORDER BY created").all().map(rowOf);
	}

	network(name: string): NetworkRow | undefined {
		const row = this.database.query<StoredRow, [string]>("SELECT * FROM networks WHERE name = ?").get(name);
		return row ? rowOf(row) : undefined;
	}

	/** Writes the row; an older one of that name gives way, its id is the caller's to keep. */
	putNetwork(row: NetworkRow): void {
		this.database
			.query(
				"INSERT INTO networks (name, id, driver, created, subnet, bridge, config) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET subnet = excluded.subnet, bridge = excluded.bridge, config = excluded.config",
			)
			.run(
				row.name,
				row.id,
				row.driver,
				row.created,
				row.subnet,
				row.bridge,
				row.config ? JSON.stringify(row.config) : null,
			);
	}

	/** Its leases go with it. */
	deleteNetwork(id: string): void {
		this.database.query("DELETE FROM networks WHERE id = ?").run(id);
	}

	leases(networkId: string): LeaseRow[] {
		return this.database
			.query<LeaseRow, [string]>(
				"SELECT container_id AS containerId, container_name AS containerName, network_id AS networkId, address FROM leases WHERE network_id = ?",
			)
			.all(networkId);
	}

	addLease(row: LeaseRow): void {
		this.database
			.query("INSERT OR REPLACE INTO leases (container_id, container_name, network_id, address) VALUES (?, ?, ?, ?)")
			.run(row.containerId, row.containerName, row.networkId, row.address);
	}

	/** On one network, or on all; false when there was none. */
	removeLease(containerId: string, networkId?: string): boolean {
		const sql = "DELETE FROM leases WHERE container_id = ?1 AND (?2 IS NULL OR network_id = ?2)";
		return this.database.query(sql).run(containerId, networkId ?? null).changes > 0;
	}
}

function rowOf(row: StoredRow): NetworkRow {
	return { ...row, config: row.config ? (JSON.parse(row.config) as NetworkConfig) : null };
}
