import type { Step } from "../talk.ts";
import type { Case } from "./case.ts";
import { CONFIG_VALUES, WRONG_VALUES } from "./config-values.ts";
import { HOST_VALUES } from "./host-values.ts";
import { MOUNT_VALUES } from "./mount-values.ts";
import { NETWORKING_VALUES } from "./networking-values.ts";

const BASE = { Image: "busybox", Cmd: ["true"], Labels: { cmp: "1" } };

function life(name: string, body: object, started: boolean): Case {
	const inspect: Step = { method: "GET", path: "/containers/{ID}/json" };
	const create: Step = { method: "POST", path: "/containers/create", body };
	const more: Step[] = started
		? [
				{ method: "POST", path: "/containers/{ID}/start" },
				{ method: "POST", path: "/containers/{ID}/wait", quiet: true },
				inspect,
				{ method: "GET", path: "/containers/{ID}/logs?stdout=1&stderr=1" },
			]
		: [];
	return { name, steps: [create, inspect, ...more] };
}

const key = (value: unknown) => JSON.stringify(value)?.slice(0, 200) ?? "undefined";

export function createCases(): Case[] {
	const config = Object.entries(CONFIG_VALUES).flatMap(([field, values]) => [
		...WRONG_VALUES.map((value) => life(`config-wrong/${field}=${key(value)}`, { ...BASE, [field]: value }, false)),
		...values.map((value) => life(`config/${field}=${key(value)}`, { ...BASE, [field]: value }, true)),
	]);
	const host = Object.entries({ ...HOST_VALUES, ...MOUNT_VALUES }).flatMap(([field, values]) => [
		...WRONG_VALUES.map((value) =>
			life(`host-wrong/${field}=${key(value)}`, { ...BASE, HostConfig: { [field]: value } }, false),
		),
		...values.map((value) => life(`host/${field}=${key(value)}`, { ...BASE, HostConfig: { [field]: value } }, true)),
	]);
	const networking = Object.entries(NETWORKING_VALUES).map(([name, value]) =>
		life(`networking/${name}`, { ...BASE, NetworkingConfig: value }, true),
	);
	return [...config, ...host, ...networking];
}
