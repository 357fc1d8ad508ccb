import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { messageOf } from "../shared/errors.ts";
import { UsageError } from "../shared/usage-error.ts";

/** An auth object of docker's API. */
export interface RegistryAuth {
	readonly username?: string;
	readonly password?: string;
	readonly identitytoken?: string;
	readonly auth?: string;
}

/** The parts of docker's `config.json` that tell who logged in where. */
interface DockerConfig {
	readonly auths?: Readonly<Record<string, RegistryAuth>>;
	/** Name of the helper that knows all: `docker-credential-NAME`. */
	readonly credsStore?: string;
	/** By registry. */
	readonly credHelpers?: Readonly<Record<string, string>>;
}

/**
 * What `docker login` keeps, by registry: of the file itself and of its credential helpers. No file: nothing. Throws UsageError for a broken
 * one and for a helper that fails; never shows a secret.
 */
export async function readRegistryCredentials(
	env: NodeJS.ProcessEnv = process.env,
): Promise<Record<string, RegistryAuth>> {
	const path = join(env.DOCKER_CONFIG || join(env.HOME || homedir(), ".docker"), "config.json");
	const { auths = {}, credsStore, credHelpers = {} } = readConfig(path);
	const found = new Map<string, RegistryAuth>(Object.entries(auths).filter(([, auth]) => Object.keys(auth).length > 0));
	if (credsStore) {
		for (const server of Object.keys(await askHelper({ helper: credsStore, env }, "list", ""))) {
			const auth = await fromHelper({ helper: credsStore, env }, server);
			if (auth) found.set(server, auth);
		}
	}
	for (const [server, helper] of Object.entries(credHelpers)) {
		const auth = await fromHelper({ helper, env }, server);
		if (auth) found.set(server, auth);
	}
	return Object.fromEntries(found);
}

/** The value of `X-Registry-Config` (base64, as clients write it). */
export function registryConfigHeader(credentials: Readonly<Record<string, RegistryAuth>>): string {
	return Buffer.from(JSON.stringify(credentials)).toString("base64url");
}

/** Those for the registry of this image name. */
export function authFor(credentials: Readonly<Record<string, RegistryAuth>>, name: string): RegistryAuth | undefined {
	const slash = name.indexOf("/");
	const first = slash < 0 ? "" : name.slice(0, slash);
	const isHost = /[.:]/.test(first) || first === "localhost";
	const isHub = !isHost || first === "docker.io" || first === "index.docker.io";
	const keys = isHub ? ["https://index.docker.io/v1/", "docker.io"] : [first, `https://${first}`, `http://${first}`];
	return keys.map((key) => credentials[key]).find((auth) => auth !== undefined);
}

function readConfig(path: string): DockerConfig {
	let text: string;
	try {
		text = readFileSync(path, "utf8");
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code === "ENOENT") return {};
		throw new UsageError(`cannot read ${path}: ${messageOf(error)}`);
	}
	try {
		const value: unknown = JSON.parse(text);
		if (typeof value === "object" && value !== null) return value;
	} catch {
		// its text is not shown: it holds secrets
	}
	throw new UsageError(`cannot read ${path}: it is not a JSON object`);
}

interface Helper {
	readonly helper: string;
	readonly env: NodeJS.ProcessEnv;
}

/** Source of the protocol: docker-credential-helpers, client/. A name of `<token>` says that the secret is an identity token. */
async function fromHelper(helper: Helper, server: string): Promise<RegistryAuth | undefined> {
	const { Username, Secret } = await askHelper(helper, "get", server);
	if (typeof Username !== "string" || typeof Secret !== "string") return undefined;
	return Username === "<token>" ? { identitytoken: Secret } : { username: Username, password: Secret };
}

async function askHelper(
	{ helper, env }: Helper,
	action: "get" | "list",
	input: string,
): Promise<Record<string, unknown>> {
	const program = `docker-credential-${helper}`;
	const fail = (why: string) => new UsageError(`cannot get credentials from ${program}: ${why}`);
	if (!/^[\w.-]+$/.test(helper)) throw fail("invalid name");
	const path = Bun.which(program, { PATH: env.PATH ?? "" });
	if (!path) throw fail("it is not in PATH");
	const child = Bun.spawn([path, action], { stdin: Buffer.from(input), stdout: "pipe", stderr: "ignore", env });
	const [text, code] = await Promise.all([new Response(child.stdout).text(), child.exited]);
	if (code !== 0 && /credentials not found/.test(text)) return {};
	// On success its output is the secret: only a failure's is shown.
	if (code !== 0) throw fail(text.trim() || `exit code ${code}`);
	try {
		return JSON.parse(text) as Record<string, unknown>;
	} catch {
		throw fail("its answer is not JSON");
	}
}
