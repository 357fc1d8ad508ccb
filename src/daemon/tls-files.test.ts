import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readTlsFiles } from "./tls-files.ts";

let directory: string;
const at = (name: string) => join(directory, name);

beforeAll(() => {
	directory = mkdtempSync(join(tmpdir(), "foredeck-tls-"));
	for (const name of ["one", "two"]) {
		const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", at(`${name}.key`)];
		const made = Bun.spawnSync(["openssl", "req", "-x509", ...key, "-out", at(`${name}.pem`), "-subj", `/CN=${name}`]);
		expect(made.exitCode).toBe(0);
	}
});
afterAll(() => rmSync(directory, { recursive: true }));

test("gives the three files' text; nothing asked, nothing read", () => {
	const material = readTlsFiles({ ca: at("two.pem"), cert: at("one.pem"), key: at("one.key") });
	expect(material?.cert).toStartWith("-----BEGIN CERTIFICATE-----");
	expect(readTlsFiles(undefined)).toBeUndefined();
});

test("names the flag whose file cannot be used", () => {
	const cert = at("one.pem");
	expect(() => readTlsFiles({ ca: at("none"), cert, key: at("one.key") })).toThrow(
		`cannot use --tlscacert ${at("none")}`,
	);
	expect(() => readTlsFiles({ ca: cert, cert: at("one.key"), key: at("one.key") })).toThrow("cannot use --tlscert");
	expect(() => readTlsFiles({ ca: cert, cert, key: cert })).toThrow("cannot use --tlskey");
	expect(() => readTlsFiles({ ca: cert, cert, key: at("two.key") })).toThrow("is not the key of --tlscert");
});
