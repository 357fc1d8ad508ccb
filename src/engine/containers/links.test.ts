import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { parseLink } from "./link-names.ts";
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

test("a link is a name of its target, follows the names of both, and and is missed when that is gone", async () => {
	await using engine = createTestEngine();
	await engine.open();
	const { containers } = engine;
	const db = await made(engine, "db");
	const web = await made(engine, "web", [`${db.slice(0, 12)}:my-db`, "db:second"]);
	const links = () => containers.inspect(web).hostConfig.Links;
	expect(links()).toEqual(["db:my-db", "db:second"]);
	expect(containers.inspect("/web/my-db").id).toBe(db);
	expect(containers.linkNames()).toEqual(new Map([[db, ["web/my-db", "web/second"]]]));
	expect(() => containers.inspect("web/other")).toThrow("No such container: web/other");
	await containers.rename("db", "base");
	await containers.rename("web", "site");
	expect([links(), containers.inspect("site/my-db").id]).toEqual([["base:my-db", "base:second"], db]);
	await containers.start(db);
	await containers.start(web);
	const hosts = () => readFileSync(`${engine.directory}/containers/${web}/hosts`, "utf8");
	expect(hosts()).toContain("\tsecond ");
	await containers.remove("site/second", { force: false, volumes: false, link: true });
	expect([links(), hosts().includes("\tsecond "), hosts().includes("\tmy-db ")]).toEqual([["base:my-db"], false, true]);
	await expect(containers.remove("site", { force: false, volumes: false, link: true })).rejects.toThrow(
		"Conflict, cannot remove the default link name of the container",
	);
	await containers.remove("base", { force: true, volumes: false, link: false });
	await expect(containers.restart("site", { timeout: 0 })).rejects.toThrow(
		"Cannot restart container site: Cannot link to a non running container: /base AS /site/my-db",
	);
});
