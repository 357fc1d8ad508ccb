import type { Credentials } from "../../drivers/registry/driver.ts";

/** Credentials by registry, as docker's configuration file has them and `X-Registry-Config` carries them. */
export type RegistryCredentials = Readonly<Record<string, Credentials>>;

/** Those for names of this domain: the file names docker's own registry by a URL, and old clients all of them. */
export function credentialsFor(all: RegistryCredentials, domain: string): Credentials | undefined {
	const keys = domain === "docker.io" ? ["https://index.docker.io/v1/", "docker.io", "index.docker.io"] : [domain];
	const found = keys.flatMap((key) => [
		key,
		`https://${key}`,
		`http://${key}`,
		`https://${key}/v1/`,
		`https://${key}/v2/`,
	]);
	return found.map((key) => all[key]).find((one) => one !== undefined);
}
