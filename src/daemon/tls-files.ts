import { createPrivateKey, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { EngineError, messageOf } from "../shared/errors.ts";
import type { DaemonOptions } from "./options.ts";

/** PEM of the CA that signs clients' certificates, of the daemon's certificate and of its key. */
export interface TlsMaterial {
	readonly ca: string;
	readonly cert: string;
	readonly key: string;
}

/** Reads what `--tlscacert`, `--tlscert` and `--tlskey` name. Throws "invalid" naming the flag whose file is missing or none, or a key that is not the certificate's. */
export function readTlsFiles(paths: DaemonOptions["tls"]): TlsMaterial | undefined {
	if (!paths) return undefined;
	const ca = read("--tlscacert", paths.ca, (pem) => new X509Certificate(pem));
	const cert = read("--tlscert", paths.cert, (pem) => new X509Certificate(pem));
	const key = read("--tlskey", paths.key, (pem) => createPrivateKey(pem));
	if (!new X509Certificate(cert).checkPrivateKey(createPrivateKey(key))) {
		throw new EngineError("invalid", `cannot use --tlskey ${paths.key}: it is not the key of --tlscert ${paths.cert}`);
	}
	return { ca, cert, key };
}

function read(flag: string, path: string, parse: (pem: string) => unknown): string {
	try {
		const pem = readFileSync(path, "utf8");
		parse(pem);
		return pem;
	} catch (error) {
		throw new EngineError("invalid", `cannot use ${flag} ${path}: ${messageOf(error)}`, { cause: error });
	}
}
