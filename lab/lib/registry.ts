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
	const stop = await serve(directory, {
		auth: { htpasswd: { realm: "lab", path: file("users") } },
		http: { addr: name, tls: { certificate: file("server.crt"), key: file("server.key") } },
	});
	return { name, authority: readFileSync(file("ca.crt"), "utf8"), stop };
}

/** The same in plain HTTP and for everyone, on a loopback address. */
export async function startPlainRegistry(
	directory: string,
	address: string,
): Promise<Omit<PrivateRegistry, "authority">> {
	mkdirSync(directory, { recursive: true });
	const name = `${address}:5080`;
	return { name, stop: await serve(directory, { http: { addr: name } }) };
}

/** Runs docker-registry until the function that it gives is called; resolves when it answers, 401 with a login and 200 without. */
async function serve(
	directory: string,
	settings: { readonly auth?: object; readonly http: { readonly addr: string; readonly tls?: object } },
): Promise<() => Promise<void>> {
	const file = (name: string) => join(directory, name);
	const storage = { filesystem: { rootdirectory: file("storage") } };
	writeFileSync(file("config.json"), JSON.stringify({ version: 0.1, log: { level: "warn" }, storage, ...settings }));
	const log = openSync(file("log"), "a");
	const child = Bun.spawn(["docker-registry", "serve", file("config.json")], {
		stdin: "ignore",
		stdout: log,
		stderr: log,
	});
	closeSync(log);
	const url = `${settings.http.tls ? "https" : "http"}://${settings.http.addr}/v2/`;
	const answers = async () => {
		const reply = await fetch(url, { tls: { rejectUnauthorized: false } }).catch(() => undefined);
		return reply?.status === (settings.auth ? 401 : 200);
	};
	await eventually("the registry's answer", answers);
	return async () => {
		child.kill();
		await child.exited;
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
