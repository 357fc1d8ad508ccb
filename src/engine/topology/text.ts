import type { Reach, Topology, TopologyNetwork } from "./contract.ts";
import { HOST, INTERNET, portText } from "./reach.ts";

/** For a terminal: each network with its members, then for each sandbox whom it reaches. */
export function textOf(topology: Topology): string {
	const blocks = topology.networks.map((network) => networkBlock(topology, network));
	return [...blocks, reachBlock(topology)].filter((block) => block !== "").join("\n\n");
}

function networkBlock({ sandboxes }: Topology, network: TopologyNetwork): string {
	const members = sandboxes.flatMap(({ name, networks, ports }) => {
		const on = networks.find(({ id }) => id === network.id);
		return on
			? [[name, [on.address, on.address6].filter(Boolean).join(" "), on.link ?? "", ports.map(portText).join(" ")]]
			: [];
	});
	return [headOf(network), ...table(members).map((line) => `  ${line}`)].join("\n");
}

function headOf(network: TopologyNetwork): string {
	const { name, driver, mode, subnet, gateway, subnet6, gateway6, bridge } = network;
	const ways = [gateway, gateway6].filter(Boolean).join(" ");
	const where = [subnet, subnet6, ways && `gateway ${ways}`, bridge && `bridge ${bridge}`];
	return [`network ${name} (${driver})`, ...where, mode && `mode ${mode}`, traitsOf(network)]
		.filter(Boolean)
		.join("  ");
}

/** What sets the network apart from a usual one. */
export function traitsOf({ kind, internal, icc, outbound }: TopologyNetwork): string {
	if (kind !== "bridge") return "";
	if (outbound) return "outwards only";
	return [internal ? "internal" : "", icc ? "" : "members apart"].filter(Boolean).join(", ");
}

function reachBlock({ sandboxes, reach }: Topology): string {
	if (!reach) return "who reaches whom: too many sandboxes to list";
	if (sandboxes.length === 0) return "";
	const lines = [...sandboxes.map(({ name }) => name), HOST].map((from) => {
		const own = reach.filter((one) => one.from === from);
		const whom = own.map((one) => `${wayText(one)}${one.limits ? ` (${one.limits.join("; ")})` : ""}`);
		return [from, whom.length > 0 ? whom.join(", ") : "nobody"];
	});
	return ["who reaches whom", ...table(lines).map((line) => `  ${line}`)].join("\n");
}

function wayText({ to, how, via, ports = [] }: Reach): string {
	if (to === INTERNET) return how === "internet" ? `${INTERNET} without LAN` : INTERNET;
	return how === "ports" ? `${to} at ${ports.join(" ")}` : `${to} over ${via}`;
}

function table(rows: readonly (readonly string[])[]): string[] {
	const widths = (rows[0] ?? []).map((_, i) => Math.max(...rows.map((row) => row[i]?.length ?? 0)));
	return rows.map((row) =>
		row
			.map((cell, i) => cell.padEnd(widths[i] ?? 0))
			.join("  ")
			.trimEnd(),
	);
}
