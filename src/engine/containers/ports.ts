import { isIP } from "node:net";
import { EngineError } from "../../shared/errors.ts";
import type { PortRequest } from "../sandboxes/contract.ts";
import type { ContainerConfig, HostConfig } from "./config.ts";
import type { PublishedPort } from "./record.ts";

const PROTOCOLS: readonly PublishedPort["protocol"][] = ["tcp", "udp", "sctp"];

const invalid = (message: string) => new EngineError("invalid", message);

/** Published ports: -p, and with -P each exposed port on any free one. "invalid" for what is no port. */
export function portsAsked(config: ContainerConfig, host: HostConfig): PortRequest[] {
	const asked = Object.entries(host.PortBindings ?? {}).flatMap(([spec, bindings]) => {
		const { protocol, port } = parsePort(spec);
		return (bindings?.length ? bindings : bindings === null ? [] : [{ HostIp: "", HostPort: "" }]).map((binding) => ({
			protocol,
			containerPort: port,
			hostIp: hostIp(binding.HostIp),
			...hostPorts(binding.HostPort),
		}));
	});
	if (!host.PublishAllPorts) return asked;
	const exposed = Object.keys(config.ExposedPorts ?? {}).flatMap((spec) => {
		const { protocol, port } = parsePort(spec);
		if (asked.some((one) => one.protocol === protocol && one.containerPort === port)) return [];
		return [{ protocol, containerPort: port, hostIp: "", hostPort: 0 }];
	});
	return [...asked, ...exposed];
}

/** `80/tcp`, `80`. */
export function parsePort(spec: string): { protocol: PublishedPort["protocol"]; port: number } {
	const [number = "", given = "tcp"] = spec.toLowerCase().split("/");
	const port = Number(number);
	if (!/^\d+$/.test(number) || port < 1 || port > 65535) throw invalid(`invalid port specification: "${number}"`);
	const protocol = PROTOCOLS.find((one) => one === given);
	if (!protocol) throw invalid(`invalid port specification: "${spec}": protocol must be tcp, udp or sctp`);
	return { protocol, port };
}

function hostIp(text: string): string {
	const ip = text.replace(/^\[(.*)\]$/, "$1");
	if (ip !== "" && isIP(ip) === 0) throw invalid(`invalid IP address: ${text}`);
	return ip;
}

function hostPorts(text: string): { hostPort: number; hostPortEnd?: number } {
	if (text === "" || text === "0") return { hostPort: 0 };
	const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text);
	const first = Number(match?.[1]);
	const last = Number(match?.[2] ?? match?.[1]);
	if (!match || first < 1 || last > 65535 || last < first) throw invalid(`invalid port specification: "${text}"`);
	return last === first ? { hostPort: first } : { hostPort: first, hostPortEnd: last };
}
