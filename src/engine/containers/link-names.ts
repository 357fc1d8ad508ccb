import { EngineError } from "../../shared/errors.ts";
import type { ContainerRecord } from "./record.ts";

/** `--link TARGET:ALIAS` of a container on the predefined bridge. The target has a second name by it: `CONTAINER/ALIAS`. */
export interface Link {
	readonly target: string;
	readonly alias: string;
}

interface Records {
	byName(name: string): ContainerRecord | undefined;
	list(): readonly ContainerRecord[];
}

/** `TARGET`, `TARGET:ALIAS`, or docker's stored form `/TARGET:/CONTAINER/ALIAS`. "invalid" in docker's words. */
export function parseLink(text: string): Link {
	if (text === "") throw new EngineError("invalid", "empty string specified for links");
	const [target = "", alias = target, more] = text.split(":");
	if (more !== undefined) throw new EngineError("invalid", `bad format for links: ${text}`);
	return { target: target.replace(/^\//, ""), alias: alias.slice(alias.lastIndexOf("/") + 1) };
}

/** Those of the predefined bridge; on others a link is an alias of DNS. */
export function linksOf({ hostConfig: { NetworkMode, Links } }: ContainerRecord): Link[] {
	return NetworkMode === "bridge" ? (Links ?? []).map(parseLink) : [];
}

/** The container that `CONTAINER/ALIAS` names, and the one that has the link. */
export function linkedAs(
	store: Records,
	name: string,
): { owner: ContainerRecord; target: ContainerRecord; link: Link } | undefined {
	const [ownerName = "", alias, more] = name.split("/");
	const owner = alias === undefined || more !== undefined ? undefined : store.byName(ownerName);
	const link = owner && linksOf(owner).find((one) => one.alias === alias);
	const target = link && store.byName(link.target);
	return target && { owner, target, link };
}

/** All such names by the id of the container they name, in order. */
export function linkNames(store: Records): Map<string, string[]> {
	const names = new Map<string, string[]>();
	for (const owner of store.list()) {
		for (const { target, alias } of linksOf(owner)) {
			const id = store.byName(target)?.id;
			if (id !== undefined) names.set(id, [...(names.get(id) ?? []), `${owner.name}/${alias}`].toSorted());
		}
	}
	return names;
}

/** What a change of name makes of the links to it, by the id of the container that has them. */
export function retargeted(store: Records, target: string, name: string): Map<string, ContainerRecord["hostConfig"]> {
	const changed = new Map<string, ContainerRecord["hostConfig"]>();
	for (const record of store.list()) {
		const links = linksOf(record);
		if (!links.some((link) => link.target === target)) continue;
		const Links = links.map((link) => `${link.target === target ? name : link.target}:${link.alias}`);
		changed.set(record.id, { ...record.hostConfig, Links });
	}
	return changed;
}
