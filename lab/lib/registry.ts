import { closeSync, mkdirSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { eventually } from "./assert.ts";

export interface PrivateRegistry {
	/** ADDRESS:PORT, the first part of image names. */
	readonly name: string;
	/** The authority that vouches for it, PEM. */
	readonly authority: string;
	stop(): Promise<void>;
}

/** Debian's docker-registry with TLS and a login, its files below `directory`. Needs openssl(1). */
export async function startRegistry(
	directory: string,
	address: string,
	login: { user: string; password: string },
): Promise<PrivateRegistry> {
	mkdirSync(directory, { recursive: true });
	const file = (name: string) => join(directory, name);
	makeCertificates(directory, address);
	const hash = await Bun.password.hash(login.password, { algorithm: "bcrypt", cost: 4 });
	writeFileSync(file("users"), `${login.user}:${hash}\n`);
	const name = `${address}:5443`;
	writeFileSync(
		file("config.json"),
		JSON.stringify({
			version: 0.1,
			log: { level: "warn" },
			storage: { filesystem: { rootdirectory: file("storage") } },
			auth: { htpasswd: { realm: "lab", path: file("users") } },
			http: { addr: name, tls: { certificate: file("server.crt"), key: file("server.key") } },
		}),
	);
	const log = openSync(file("log"), "a");
	const child = Bun.spawn(["docker-registry", "serve", file("config.json")], {
		stdin: "ignore",
		stdout: log,
		stderr: log,
	});
	closeSync(log);
	const answers = async () => {
		const reply = await fetch(`https://${name}/v2/`, { tls: { rejectUnauthorized: false } }).catch(() => undefined);
		return reply?.status === 401;
	};
	await eventually("the registry's answer", answers);
	return {
		name,
		authority: readFileSync(file("ca.crt"), "utf8"),
		stop: async () => {
			child.kill();
			await child.exited;
		},
	};
}

function makeCertificates(directory: string, address: string): void {
	const openssl = (...argv: string[]) => {
		const { exitCode, stderr } = Bun.spawnSync(["openssl", ...argv], { cwd: directory });
		if (exitCode !== 0) throw new Error(`openssl ${argv[0]}: ${stderr}`);
	};
	const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"];
	openssl("req", "-x509", ...key, "-keyout", "ca.key", "-out", "ca.crt", "-subj", "/CN=lab authority");
	const names = ["-subj", "/CN=registry", "-addext", `subjectAltName=IP:${address}`];
	openssl(
		"req",
		"-x509",
		...key,
		"-CA",
		"ca.crt",
		"-CAkey",
		"ca.key",
		"-keyout",
		"server.key",
		"-out",
		"server.crt",
		...names,
	);
}
