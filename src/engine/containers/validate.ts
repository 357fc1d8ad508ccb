import { isIP } from "node:net";
import { EngineError } from "../../shared/errors.ts";
import { parseSignal } from "../../shared/signals.ts";
import { capabilitiesOf } from "./capabilities.ts";
import type { ContainerConfig, HostConfig } from "./config.ts";
import { parseExtraHost } from "./files.ts";
import { validateHealthcheck } from "./health.ts";
import { validateLog } from "./log-config.ts";
import { mountsAsked } from "./mounts/points.ts";
import { checkSources } from "./mounts/prepare.ts";
import { sharedWith } from "./networking.ts";
import { parsePort, portsAsked } from "./ports.ts";
import { validateDevices, validateResources } from "./resources.ts";
import { parseSecurityOpt } from "./security.ts";

const invalid = (message: string) => new EngineError("invalid", message);

/** The meaning of a create request, image defaults merged; "invalid" or "unsupported" in docker's words. */
export function validate(config: ContainerConfig, host: HostConfig, capabilities?: readonly string[]): void {
	validateConfig(config);
	validateHealthcheck(config.Healthcheck);
	validateResources(host);
	validateDevices(host);
	capabilitiesOf(host, capabilities);
	parseSecurityOpt(host.SecurityOpt);
	checkSources(mountsAsked(host));
	portsAsked(config, host);
	validateNetwork(host);
	validatePolicy(host);
	validateSysctls(host);
	validateLog(host.LogConfig);
}

/** Of sethostname(2), in bytes. */
const MAX_HOSTNAME = 64;

function hasControl(text: string): boolean {
	return [...text].some((one) => one < " " || one === "\x7f");
}

function validateConfig(config: ContainerConfig): void {
	if (config.WorkingDir && !config.WorkingDir.startsWith("/")) {
		throw invalid(`the working directory '${config.WorkingDir}' is invalid, it needs to be an absolute path`);
	}
	for (const entry of config.Env) {
		if (entry === "" || entry.startsWith("=")) throw invalid(`invalid environment variable: ${entry}`);
	}
	for (const spec of Object.keys(config.ExposedPorts ?? {})) parsePort(spec.replace(/\/sctp$/i, ""));
	for (const path of Object.keys(config.Volumes ?? {})) {
		if (!path.startsWith("/") || path === "/") {
			throw invalid(`invalid volume specification: '${path}': destination must be an absolute path and not '/'`);
		}
	}
	if (config.StopSignal && parseSignal(config.StopSignal) === undefined) {
		throw invalid(`invalid signal: ${config.StopSignal}`);
	}
	for (const name of [config.Hostname, config.Domainname]) {
		// What the kernel takes, and no line of /etc/hosts of its own.
		if (Buffer.byteLength(name) > MAX_HOSTNAME || hasControl(name)) throw invalid(`invalid hostname format: ${name}`);
	}
}

function validateNetwork(host: HostConfig): void {
	for (const server of host.Dns ?? []) {
		if (isIP(server) === 0) throw invalid(`invalid IP address: ${server}`);
	}
	for (const [field, words] of Object.entries({ DnsSearch: host.DnsSearch, DnsOptions: host.DnsOptions })) {
		const bad = words?.find((word) => /[\s\0]/.test(word) || word === "");
		if (bad !== undefined) throw invalid(`invalid ${field}: ${JSON.stringify(bad)}`);
	}
	for (const entry of host.ExtraHosts ?? []) {
		const [name] = parseExtraHost(entry);
		if (/\s/.test(name)) throw invalid(`bad format for add-host: "${entry}"`);
	}
}

/** What a client cannot ask of a container that has the host's or another one's namespaces; `config` is as it came, without the image's. */
export function validateShared(config: ContainerConfig, host: HostConfig): void {
	if (host.UTSMode === "host" && config.Hostname !== "") {
		throw invalid("conflicting options: hostname and the UTS mode");
	}
	const ref = sharedWith(host.NetworkMode);
	if (ref === undefined) return;
	if (ref === "") throw invalid("invalid network mode: invalid container format container:<name|id>");
	const has = (value: object | null | undefined) => Object.keys(value ?? {}).length > 0;
	const conflicts: [boolean, string][] = [
		[config.Hostname !== "", "hostname and the network mode"],
		[has(host.Dns), "dns and the network mode"],
		[has(host.ExtraHosts), "custom host-to-IP mapping and the network mode"],
		[has(host.PortBindings) || host.PublishAllPorts, "port publishing and the container type network mode"],
		[has(config.ExposedPorts), "port exposing and the container type network mode"],
	];
	const [, found] = conflicts.find(([conflicting]) => conflicting) ?? [];
	if (found) throw invalid(`conflicting options: ${found}`);
}

function validatePolicy(host: HostConfig): void {
	const { Name, MaximumRetryCount } = host.RestartPolicy;
	if (host.AutoRemove && Name !== "no") throw invalid("can't create 'AutoRemove' container with restart policy");
	if (MaximumRetryCount < 0) throw invalid("invalid restart policy: maximum retry count cannot be negative");
}

const IPC_SYSCTLS =
	/^(kernel\.(msgmax|msgmnb|msgmni|sem|shmall|shmmax|shmmni|shm_rmid_forced|domainname|hostname)|fs\.mqueue\..+)$/;

function validateSysctls(host: HostConfig): void {
	for (const name of Object.keys(host.Sysctls ?? {})) {
		const refuse = (why: string) => invalid(`sysctl '${name}' ${why}`);
		if (!/^[a-zA-Z0-9_./-]+$/.test(name) || name.includes("..")) throw refuse("is no name of a sysctl");
		if (name.startsWith("net.")) {
			if (host.NetworkMode === "host") throw refuse("not allowed in host network namespace");
		} else if (!IPC_SYSCTLS.test(name)) {
			throw refuse("is not in a separate kernel namespace");
		} else if (host.IpcMode === "host" && !/name$/.test(name)) {
			throw refuse("not allowed in host ipc namespace");
		}
	}
}
