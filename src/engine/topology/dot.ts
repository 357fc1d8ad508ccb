import type { Topology } from "./contract.ts";
import { portText } from "./reach.ts";
import { traitsOf } from "./text.ts";

/** For Graphviz: `foredeck network topology --format dot | dot -Tpng`. Networks are boxes, sandboxes ellipses, edges carry addresses. */
export function dotOf({ instance, networks, sandboxes }: Topology): string {
	const used = networks.filter(({ id }) => sandboxes.some((one) => one.networks.some((on) => on.id === id)));
	const lines = [
		...used.map((network) => {
			const label = [network.name, network.subnet, network.subnet6, network.mode, traitsOf(network)]
				.filter(Boolean)
				.join("\n");
			return `${quoted(`network ${network.id}`)} [shape=box style=filled fillcolor=lightgrey label=${quoted(label)}]`;
		}),
		...sandboxes.map(({ id, name, ports }) => {
			const label = [name, ...ports.map(portText)].join("\n");
			return `${quoted(`sandbox ${id}`)} [label=${quoted(label)}]`;
		}),
		...sandboxes.flatMap(({ id, networks: on }) =>
			on.map(
				({ id: network, address, address6 }) =>
					`${quoted(`sandbox ${id}`)} -- ${quoted(`network ${network}`)} [label=${quoted([address, address6].filter(Boolean).join("\n"))}]`,
			),
		),
	];
	return [`graph ${quoted(instance)} {`, ...lines.map((line) => `\t${line}`), "}"].join("\n");
}

function quoted(text: string): string {
	return `"${text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n")}"`;
}
