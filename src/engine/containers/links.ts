import { EngineError, messageOf } from "../../shared/errors.ts";
import { type Context, find, isRunning } from "./context.ts";
import { linksOf, parseLink } from "./link-names.ts";
import { parsePort } from "./ports.ts";
import type { ContainerRecord } from "./record.ts";

/** At create: refuses modes that cannot have links, and targets that are not there; the links with the names of their targets. */
export function validateLinks(
	context: Pick<Context, "store">,
	networkMode: string,
	links: readonly string[],
): readonly string[] {
	if (links.length === 0) return links;
	const word = networkMode === "host" ? "host type networking" : "container type network";
	if (networkMode === "host" || networkMode.startsWith("container:")) {
		throw new EngineError(
			"invalid",
			`conflicting options: ${word} can't be used with links. This would result in undefined behavior`,
		);
	}
	return links.map((link) => {
		const { target, alias } = parseLink(link);
		try {
			if (target === "") throw new EngineError("invalid", 'invalid name or ID supplied: ""');
			const { name } = find(context, target);
			return networkMode === "bridge" ? `${name}:${alias}` : link;
		} catch (cause) {
			// Not 404: the CLI takes that for a missing image, and pulls.
			throw new EngineError("invalid", `could not get container for ${target}: ${messageOf(cause)}`, { cause });
		}
	});
}

/** What a start gives a container for its links: lines for /etc/hosts, variables for its processes. */
export interface LinkGifts {
	readonly hosts: readonly string[];
	readonly env: readonly string[];
}

/** "conflict" when a target does not run. */
export function linkGifts(context: Pick<Context, "store">, record: ContainerRecord): LinkGifts {
	const gifts = linksOf(record).map(({ target, alias }) => {
		// A target that was removed is missed at the start, as with docker.
		const other = context.store.byName(target);
		const address = other?.network?.endpoints.find(({ networkName }) => networkName === "bridge")?.ipAddress;
		const name = `/${record.name}/${alias}`;
		if (!other || !isRunning(other.state) || !address) {
			throw new EngineError("conflict", `Cannot link to a non running container: /${target} AS ${name}`);
		}
		const names = [...new Set([alias, other.config.Hostname, other.name])].filter(Boolean);
		return { hosts: `${address}\t${names.join(" ")}\n`, env: linkEnv(name, alias, address, other) };
	});
	return { hosts: gifts.map(({ hosts }) => hosts), env: gifts.flatMap(({ env }) => env) };
}

/** Docker's variables: DB_NAME, DB_PORT, DB_PORT_80_TCP..., and the target's own as DB_ENV_... */
function linkEnv(name: string, alias: string, address: string, { config }: ContainerRecord): string[] {
	const prefix = alias.replaceAll("-", "_").toUpperCase();
	const ports = Object.keys(config.ExposedPorts ?? {})
		.map(parsePort)
		.toSorted((a, b) => (a.protocol === b.protocol ? a.port - b.port : a.protocol < b.protocol ? -1 : 1));
	const url = ({ protocol, port }: (typeof ports)[number]) => `${protocol}://${address}:${port}`;
	const [first] = ports;
	const each = ports.flatMap((one) => {
		const key = `${prefix}_PORT_${one.port}_${one.protocol.toUpperCase()}`;
		return [`${key}=${url(one)}`, `${key}_ADDR=${address}`, `${key}_PORT=${one.port}`, `${key}_PROTO=${one.protocol}`];
	});
	const own = config.Env.filter((entry) => !/^(HOME|PATH)=/.test(entry));
	return [
		`${prefix}_NAME=${name}`,
		...(first ? [`${prefix}_PORT=${url(first)}`] : []),
		...each,
		...own.map((entry) => `${prefix}_ENV_${entry}`),
	];
}
