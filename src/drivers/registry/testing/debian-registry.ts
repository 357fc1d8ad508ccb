import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestCertificates } from "./certificates.ts";

export interface DebianRegistry extends AsyncDisposable {
	/** `127.0.0.1:PORT` */
	readonly domain: string;
	readonly folder: string;
	log(): string;
}

export interface DebianRegistryOptions {
	/** Serves TLS with `cert` (default: the certificates' server one). */
	readonly tls?: TestCertificates;
	readonly cert?: string;
	/** Only clients with a certificate of the authority get in. */
	readonly clientCertificates?: boolean;
	/** htpasswd with this one user. */
	readonly user?: { name: string; password: string };
}

/** Debian's docker-registry as a child process, on a free loopback port, with its storage in a folder of its own that goes with it. */
export async function startDebianRegistry(options: DebianRegistryOptions = {}): Promise<DebianRegistry> {
	const folder = mkdtempSync(join(tmpdir(), "docker-registry-"));
	const port = await freePort();
	writeFileSync(join(folder, "config.json"), JSON.stringify(await configOf(folder, port, options)));
	const child = Bun.spawn(["docker-registry", "serve", join(folder, "config.json")], {
		stdin: "ignore",
		stdout: Bun.file(join(folder, "log")),
		stderr: Bun.file(join(folder, "errors")),
		// a test run that is killed must not leave it behind, nor its proxy settings reach it
		env: { PATH: process.env.PATH ?? "", OTEL_TRACES_EXPORTER: "none" },
	});
	const registry: DebianRegistry = {
		domain: `127.0.0.1:${port}`,
		folder,
		log: () => readFileSync(join(folder, "log"), "utf8") + readFileSync(join(folder, "errors"), "utf8"),
		async [Symbol.asyncDispose]() {
			child.kill("SIGKILL");
			await child.exited;
			rmSync(folder, { recursive: true, force: true });
		},
	};
	try {
		await listening(port, child);
		return registry;
	} catch (error) {
		const log = registry.log();
		await registry[Symbol.asyncDispose]();
		throw new Error(`docker-registry did not start: ${log}`, { cause: error });
	}
}

/** JSON is YAML, which is what docker-registry reads. */
async function configOf(folder: string, port: number, { tls, cert, clientCertificates, user }: DebianRegistryOptions) {
	const clientcas = clientCertificates && tls ? { clientcas: [tls.authority] } : {};
	const secured = tls ? { tls: { certificate: cert ?? tls.serverCert, key: tls.serverKey, ...clientcas } } : {};
	const auth = user ? { auth: { htpasswd: { realm: "test", path: join(folder, "htpasswd") } } } : {};
	if (user) {
		const hash = await Bun.password.hash(user.password, { algorithm: "bcrypt", cost: 4 });
		writeFileSync(join(folder, "htpasswd"), `${user.name}:${hash}\n`);
	}
	return {
		version: 0.1,
		log: { level: "warn" },
		storage: { filesystem: { rootdirectory: join(folder, "storage") }, delete: { enabled: true } },
		http: { addr: `127.0.0.1:${port}`, secret: "test", ...secured },
		...auth,
	};
}

function freePort(): Promise<number> {
	return new Promise((resolve, reject) => {
		const server = createServer().on("error", reject);
		server.listen(0, "127.0.0.1", () => {
			const address = server.address();
			server.close(() =>
				typeof address === "object" && address ? resolve(address.port) : reject(new Error("no port")),
			);
		});
	});
}

async function listening(port: number, child: Bun.Subprocess): Promise<void> {
	for (const deadline = Date.now() + 10_000; Date.now() < deadline; await Bun.sleep(20)) {
		if (child.exitCode !== null) throw new Error(`exit code ${child.exitCode}`);
		const socket = await Bun.connect({ hostname: "127.0.0.1", port, socket: { data() {} } }).catch(() => undefined);
		if (socket) return void socket.end();
	}
	throw new Error("it does not listen");
}
