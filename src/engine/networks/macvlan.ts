import type { ParentSpec } from "../../drivers/network/driver.ts";
import { EngineError } from "../../shared/errors.ts";
import type { NetworkRow } from "../../store/networks.ts";

export type MacvlanMode = "bridge" | "private" | "vepa" | "passthru";

/** What the options of a macvlan network mean. */
export interface MacvlanSettings {
	readonly parent: string;
	readonly mode: MacvlanMode;
	/** How the parent is made where it is not there: `eth0.10`, or none named. */
	readonly make?: NonNullable<ParentSpec["make"]>;
}

const MODES: readonly MacvlanMode[] = ["bridge", "private", "vepa", "passthru"];

/** Reads docker's options of a macvlan network; "invalid" in docker's words. `id` names the interface of a network without a parent. */
export function macvlanSettings(id: string, options: Readonly<Record<string, string>>): MacvlanSettings {
	const asked = options.macvlan_mode ?? "";
	const mode = asked === "" ? "bridge" : MODES.find((one) => one === asked);
	if (!mode) {
		const text = `requested macvlan mode '${asked}' is not valid, 'bridge' mode is the macvlan driver default`;
		throw new EngineError("invalid", text);
	}
	const parent = options.parent ?? "";
	if (parent === "") return { parent: `dm-${id.slice(0, 12)}`, mode, make: { kind: "dummy" } };
	const dot = parent.lastIndexOf(".");
	const vlan = Number(parent.slice(dot + 1));
	if (dot < 1 || !/^\d+$/.test(parent.slice(dot + 1))) return { parent, mode };
	return { parent, mode, make: { kind: "vlan", of: parent.slice(0, dot), id: vlan } };
}

/** Whether the network can be made beside these: a wire in mode passthru is shared with nobody. */
export function checkMacvlan(settings: MacvlanSettings, others: readonly NetworkRow[], exists: boolean): void {
	const { parent, mode, make } = settings;
	if (!exists && !make) {
		throw new EngineError("invalid", `invalid subinterface vlan name ${parent}, example formatting is eth0.10`);
	}
	if (!exists && make?.kind === "vlan" && (make.id < 1 || make.id > 4094)) {
		throw new EngineError("invalid", `vlan id must be between 1-4094, received: ${make.id}`);
	}
	for (const { id, driver, config } of others) {
		const other = driver === "macvlan" ? macvlanSettings(id, config?.options ?? {}) : undefined;
		if (other?.parent !== parent || (mode !== "passthru" && other.mode !== "passthru")) continue;
		const name = id.slice(0, 12);
		throw new EngineError(
			"conflict",
			mode === "passthru"
				? `cannot use mode passthru, macvlan network ${name} is already using parent interface ${parent}`
				: `macvlan network ${name} is already using parent interface ${parent} in mode passthru`,
		);
	}
}
