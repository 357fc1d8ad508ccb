import { EngineError } from "../../shared/errors.ts";
import type { InsecureHosts } from "./trust.ts";

/** An address where a registry may be found. */
export interface Candidate {
	readonly url: URL;
	/** Its directory in certs.d. */
	readonly name: string;
	readonly mirror: boolean;
	readonly secure: boolean;
}

const DOCKER_HUB = "https://registry-1.docker.io";

/** docker.io's: its mirrors first when pulling. */
export function hubCandidates(mirrors: readonly URL[], insecure: InsecureHosts): Candidate[] {
	const hub = { url: new URL(DOCKER_HUB), name: "docker.io", mirror: false, secure: true };
	return [...mirrors.map((url) => mirrorOf(url, insecure)), hub];
}

/** Any other registry's: HTTPS, then for an insecure one plain HTTP. */
export async function directCandidates(domain: string, insecure: InsecureHosts): Promise<Candidate[]> {
	const secure = !(await insecure.resolvesInsecure(domain));
	const https = { url: new URL(`https://${domain}`), name: domain, mirror: false, secure };
	return secure ? [https] : [https, { ...https, url: new URL(`http://${domain}`) }];
}

/** Throws "invalid" for anything but a bare address, as dockerd. */
export function parseMirror(text: string): URL {
	const url = URL.canParse(text) ? new URL(text) : undefined;
	const plain =
		url && url.pathname === "/" && url.search === "" && url.hash === "" && url.username === "" && url.password === "";
	if (plain && (url.protocol === "https:" || url.protocol === "http:")) return url;
	throw new EngineError("invalid", `invalid registry mirror ${JSON.stringify(text)}: allowed is http(s)://HOST[:PORT]`);
}

function mirrorOf(url: URL, insecure: InsecureHosts): Candidate {
	return { url, name: url.host, mirror: true, secure: !insecure.isInsecure(url.host) };
}
