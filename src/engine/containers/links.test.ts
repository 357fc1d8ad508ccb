import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { parseLink } from "./links.ts";
import { containerConfig, createTestEngine, hostConfig, type TestEngine } from "./testing/fakes.ts";

async function made(engine: TestEngine, name: string, links: string[] = [], config = {}, NetworkMode = "bridge") {
	const request = { name, config: containerConfig(config), hostConfig: hostConfig({ Links: links, NetworkMode }) };
	return (await engine.containers.create(request)).id;
}

test("links are read in the client's and in docker's stored form", () => {
	expect(parseLink("db")).toEqual({ target: "db", alias: "db" });
	expect(parseLink("db:my-db")).toEqual({ target: "db", alias: "my-db" });
	expect(parseLink("/db:/web/my-db")).toEqual({ target: "db", alias: "my-db" });
	expect(() => parseLink("")).toThrow("empty string specified for links");
	expect(() => parseLink("a:b:c")).toThrow("bad format for links: a:b:c");
});

test("a linked container stands in the hosts file, and its address, ports and variables in the environment", async () => {
	await using engine = createTestEngine();
	await engine.open();
	const config = {
		Env: ["A=b", "PATH=/x", "HOME=/h"],
		ExposedPorts: { "80/tcp": {}, "53/udp": {} },
		Hostname: "dbhost",
	};
	const db = await made(engine, "db", [], config);
	const web = await made(engine, "web", ["db:my-db"], { Env: ["MY_DB_ENV_A=mine"] });
	await expect(engine.containers.start(web)).rejects.toThrow(
		"Cannot link to a non running container: /db AS /web/my-db",
	);
	await engine.containers.start(db);
	await engine.containers.start(web);
	expect(readFileSync(`${engine.directory}/containers/${web}/hosts`, "utf8")).toContain("10.0.0.2\tmy-db dbhost db\n");
	const env = engine.runtime.started.at(-1)?.spec.process.env.filter((entry) => entry.startsWith("MY_DB_"));
	expect(env?.toSorted()).toEqual([
		"MY_DB_ENV_A=mine",
		"MY_DB_NAME=/web/my-db",
		"MY_DB_PORT=tcp://10.0.0.2:80",
		"MY_DB_PORT_53_UDP=udp://10.0.0.2:53",
		"MY_DB_PORT_53_UDP_ADDR=10.0.0.2",
		"MY_DB_PORT_53_UDP_PORT=53",
		"MY_DB_PORT_53_UDP_PROTO=udp",
		"MY_DB_PORT_80_TCP=tcp://10.0.0.2:80",
		"MY_DB_PORT_80_TCP_ADDR=10.0.0.2",
		"MY_DB_PORT_80_TCP_PORT=80",
		"MY_DB_PORT_80_TCP_PROTO=tcp",
	]);
	expect(engine.containers.inspect(web).config.Env).toEqual(["MY_DB_ENV_A=mine"]);
});

test("create refuses links to nobody, and in modes that cannot have them", async () => {
	await using engine = createTestEngine();
	await engine.open();
	await expect(made(engine, "web", ["nope:x"])).rejects.toThrow(
		"could not get container for nope: No such container: nope",
	);
	await expect(made(engine, "web", ["a:b"], {}, "host")).rejects.toThrow(
		"conflicting options: host type networking can't be used with links. This would result in undefined behavior",
	);
	await expect(made(engine, "web", ["a:b"], {}, "container:x")).rejects.toThrow("container type network can't be used");
});
