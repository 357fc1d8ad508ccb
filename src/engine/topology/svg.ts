import type { Topology, TopologyNetwork, TopologySandbox } from "./contract.ts";
import { portText } from "./reach.ts";
import { traitsOf } from "./text.ts";

/** Pixels. */
const [LEFT, COLUMN, BOX, LINE, BAR, GAP] = [240, 190, 170, 16, 22, 26];
/** Of networks, one after the other. */
const COLORS = ["#3b6ea5", "#a5573b", "#4f8a4c", "#7a5196", "#a08a2d", "#2f8f8f"];

/** A picture for browsers: networks are bars, a sandbox is a box below the first of its networks, with a line to each bar. Only networks with members are drawn. */
export function svgOf(topology: Topology): string {
	const { instance, sandboxes } = topology;
	const networks = topology.networks.filter(({ id }) =>
		sandboxes.some((one) => one.networks.some((on) => on.id === id)),
	);
	const rows = rowsOf(networks, sandboxes);
	const width = LEFT + Math.max(1, sandboxes.length) * COLUMN + 20;
	const height = (rows.at(-1)?.bottom ?? 40) + 30;
	const columns = new Map(rows.flatMap(({ members }) => members).map((one, at) => [one.id, LEFT + at * COLUMN]));
	const body = [
		text(16, 24, `networks of ${instance}`, 'font-weight="bold" font-size="15"'),
		...rows.flatMap((row) => barOf(row, width)),
		...rows.flatMap(({ members }) => members.flatMap((one) => linesOf(one, columns.get(one.id) ?? LEFT, rows))),
		...rows.flatMap(({ top, members }) =>
			members.flatMap((one) => boxOf(one, columns.get(one.id) ?? LEFT, top + BAR + GAP)),
		),
		...(rows.length === 0 ? [text(16, 50, "no running container is on a network")] : []),
	];
	const size = `width="${width}" height="${height}" viewBox="0 0 ${width} ${height}"`;
	const font = 'font-family="sans-serif" font-size="12" fill="#222"';
	return `<svg xmlns="http://www.w3.org/2000/svg" ${size} ${font}>\n<rect width="100%" height="100%" fill="#fff"/>\n${body.join("\n")}\n</svg>\n`;
}

interface Row {
	readonly network: TopologyNetwork;
	readonly color: string;
	/** Sandboxes whose first network this is. */
	readonly members: readonly TopologySandbox[];
	readonly top: number;
	readonly bottom: number;
}

function rowsOf(networks: readonly TopologyNetwork[], sandboxes: readonly TopologySandbox[]): Row[] {
	let top = 44;
	return networks.map((network, at) => {
		const members = sandboxes.filter((one) => one.networks[0]?.id === network.id);
		const tallest = Math.max(0, ...members.map((one) => heightOf(one)));
		const bottom = top + BAR + (members.length > 0 ? GAP + tallest : 0);
		const row = { network, color: COLORS[at % COLORS.length] ?? "#444", members, top, bottom };
		top = bottom + GAP;
		return row;
	});
}

function barOf({ network, color, top }: Row, width: number): string[] {
	const { name, subnet, subnet6, mode } = network;
	const more = [subnet, subnet6, mode && mode !== name ? mode : "", traitsOf(network)].filter(Boolean).join(", ");
	return [
		`<rect x="10" y="${top}" width="${width - 20}" height="${BAR}" rx="4" fill="${color}"/>`,
		text(18, top + 15, clip(name, 24), 'fill="#fff" font-weight="bold"'),
		text(18, top + BAR + 15, clip(more, 36), 'fill="#555" font-size="11"'),
	];
}

/** To each bar: up to its own, across the other bars to the rest. Lines are side by side, so that none hides another. */
function linesOf({ networks }: TopologySandbox, x: number, rows: readonly Row[]): string[] {
	const home = rows.find(({ network }) => network.id === networks[0]?.id);
	if (!home) return [];
	return networks.flatMap(({ id, address, address6 }, at) => {
		const row = rows.find(({ network }) => network.id === id);
		if (!row) return [];
		const own = row === home;
		const from = home.top + BAR + GAP + (own || row.top < home.top ? 0 : 20);
		const to = row.top < from ? row.top + BAR : row.top;
		const at1 = own ? x + 20 : x + BOX - 12 * at;
		const label = own ? to + 16 : row.top < from ? to + 12 : to - 6;
		return [
			`<line x1="${at1}" y1="${from}" x2="${at1}" y2="${to}" stroke="${row.color}" stroke-width="2"/>`,
			text(
				own ? at1 + 6 : at1 + 4,
				label,
				[address, address6].filter(Boolean).join(" "),
				`fill="${row.color}" font-size="11"`,
			),
		];
	});
}

function boxOf(sandbox: TopologySandbox, x: number, y: number): string[] {
	return [
		`<rect x="${x}" y="${y}" width="${BOX - 20}" height="${heightOf(sandbox)}" rx="6" fill="#f4f4f4" stroke="#888"/>`,
		text(x + 8, y + 17, clip(sandbox.name, 20), 'font-weight="bold"'),
		...sandbox.ports.map((port, at) =>
			text(x + 8, y + 17 + (at + 1) * LINE, clip(portText(port), 25), 'font-size="11"'),
		),
	];
}

function heightOf({ ports }: TopologySandbox): number {
	return 26 + ports.length * LINE;
}

function text(x: number, y: number, content: string, more = ""): string {
	return `<text x="${x}" y="${y}"${more ? ` ${more}` : ""}>${escaped(content)}</text>`;
}

function clip(content: string, length: number): string {
	return content.length > length ? `${content.slice(0, length - 1)}…` : content;
}

function escaped(content: string): string {
	return content.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
}
