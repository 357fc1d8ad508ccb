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

export interface NetworkRow {
	readonly name: string;
	readonly id: string;
	readonly driver: "bridge" | "host" | "null";
	readonly created: string;
	readonly subnet: string | null;
	readonly bridge: string | null;
}

export interface LeaseRow {
	readonly containerId: string;
	readonly containerName: string;
	readonly networkId: string;
	readonly address: string;
}

export class NetworkStore {
	constructor(private readonly database: Database) {}

	network(name: string): NetworkRow | undefined {
		return this.database.query<NetworkRow, [string]>("SELECT * FROM networks WHERE name = ?").get(name) ?? undefined;
	}

	/** Writes the row; an older one of that name gives way, its id is the caller's to keep. */
	putNetwork(row: NetworkRow): void {
		this.database
			.query(
				"INSERT INTO networks (name, id, driver, created, subnet, bridge) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET subnet = excluded.subnet, bridge = excluded.bridge",
			)
			.run(row.name, row.id, row.driver, row.created, row.subnet, row.bridge);
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

	/** false when there was none. */
	removeLease(containerId: string): boolean {
		return this.database.query("DELETE FROM leases WHERE container_id = ?").run(containerId).changes > 0;
	}
}
