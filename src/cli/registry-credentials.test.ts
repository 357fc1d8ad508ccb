import { afterEach, beforeEach, expect, test } from "bun:test";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readRegistryCredentials, registryConfigHeader } from "./registry-credentials.ts";

let folder = "";
beforeEach(() => {
	folder = fs.mkdtempSync(join(tmpdir(), "credentials-"));
});
afterEach(() => fs.rmSync(folder, { recursive: true }));

function config(value: unknown) {
	const text = typeof value === "string" ? value : JSON.stringify(value);
	fs.writeFileSync(join(folder, "config.json"), text);
	return readRegistryCredentials({ DOCKER_CONFIG: folder, PATH: `${folder}:/bin:/usr/bin` });
}

function helper(name: string, script: string) {
	fs.writeFileSync(join(folder, `docker-credential-${name}`), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
}

test("what docker login wrote into the file is read; no file is no credentials", async () => {
	expect(await readRegistryCredentials({ HOME: folder })).toEqual({});
	fs.mkdirSync(join(folder, ".docker"));
	fs.writeFileSync(join(folder, ".docker/config.json"), '{"auths":{"reg:5":{"auth":"dTpw"},"gone":{}}}');
	expect(await readRegistryCredentials({ HOME: folder })).toEqual({ "reg:5": { auth: "dTpw" } });
});

test("credential helpers are asked: the store for all it has, others for their registry; a token stays one", async () => {
	helper(
		"all",
		`[ "$1" = list ] && echo '{"reg:5":"me"}' || { [ "$(cat)" = reg:5 ] && echo '{"Username":"me","Secret":"s"}'; }`,
	);
	helper("one", `echo '{"ServerURL":"x","Username":"<token>","Secret":"t"}'`);
	helper("none", `echo "credentials not found in native keychain"; exit 1`);
	const found = await config({
		auths: { "reg:5": {}, "old:1": { auth: "dTpw" } },
		credsStore: "all",
		credHelpers: { "far:6": "one", "new:7": "none" },
	});
	expect(found).toEqual({
		"old:1": { auth: "dTpw" },
		"reg:5": { username: "me", password: "s" },
		"far:6": { identitytoken: "t" },
	});
	expect(JSON.parse(Buffer.from(registryConfigHeader(found), "base64url").toString())).toEqual(found);
});

test("a broken file and a helper that fails are told without what they hold", async () => {
	await expect(config('{"auths": secret')).rejects.toThrow(/config.json: it is not a JSON object$/);
	await expect(config({ credsStore: "absent" })).rejects.toThrow("docker-credential-absent: it is not in PATH");
	await expect(config({ credHelpers: { a: "../x" } })).rejects.toThrow("invalid name");
	helper("locked", "echo the keychain is locked; exit 1");
	await expect(config({ credHelpers: { a: "locked" } })).rejects.toThrow("locked: the keychain is locked");
	helper("loose", "echo secret");
	await expect(config({ credHelpers: { a: "loose" } })).rejects.toThrow(/its answer is not JSON$/);
});
