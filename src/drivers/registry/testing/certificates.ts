import { writeFileSync } from "node:fs";
import { join } from "node:path";

/** PEM files of a private authority and what it signed for 127.0.0.1, localhost and registry.test. */
export interface TestCertificates {
	readonly authority: string;
	readonly serverCert: string;
	readonly serverKey: string;
	readonly clientCert: string;
	readonly clientKey: string;
	/** Signed by the authority, over since long. */
	readonly expiredCert: string;
}

/** Makes them in `folder` by openssl(1); P-256, so that it takes milliseconds. */
export function makeCertificates(folder: string): TestCertificates {
	const file = (name: string) => join(folder, name);
	const names = "subjectAltName=IP:127.0.0.1,DNS:localhost,DNS:registry.test";
	const newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
	writeFileSync(file("names"), `${names}\n`);
	const caFiles = ["-keyout", file("ca.key"), "-out", file("ca.crt")];
	openssl("req", "-x509", ...newKey, ...caFiles, "-days", "2", "-subj", "/CN=test authority");
	for (const name of ["server", "client"]) {
		openssl("req", ...newKey, "-keyout", file(`${name}.key`), "-out", file(`${name}.csr`), "-subj", `/CN=${name}`);
	}
	const sign = (request: string, out: string, days: string) => {
		const authority = ["-CA", file("ca.crt"), "-CAkey", file("ca.key"), "-CAcreateserial", "-extfile", file("names")];
		openssl("x509", "-req", "-in", file(request), "-out", file(out), "-days", days, ...authority);
	};
	sign("server.csr", "server.crt", "2");
	sign("client.csr", "client.crt", "2");
	sign("server.csr", "expired.crt", "-1");
	return {
		authority: file("ca.crt"),
		serverCert: file("server.crt"),
		serverKey: file("server.key"),
		clientCert: file("client.crt"),
		clientKey: file("client.key"),
		expiredCert: file("expired.crt"),
	};
}

function openssl(...argv: string[]): void {
	const { exitCode, stderr } = Bun.spawnSync(["openssl", ...argv]);
	if (exitCode !== 0) throw new Error(`openssl ${argv[0]}: ${stderr}`);
}
