import { expect, test } from "bun:test";
import { runConfig } from "./config.ts";

const flags = [{ name: "domain", value: "DOMAIN", repeatable: false, help: "the names' domain" }];
const entries = [
	{ name: "domain", value: "a.test", source: "flag" },
	{ name: "host", value: ["unix:///a", "unix:///b"], source: "file /etc/f.json" },
	{ name: "insecure-registry", value: [], source: "default" },
];

function run(...argv: string[]): { out: string; resolved: (readonly string[])[] } {
	const lines: string[] = [];
	const resolved: (readonly string[])[] = [];
	const resolve = (rest: readonly string[]) => {
		resolved.push(rest);
		return { entries };
	};
	runConfig(argv, flags, resolve, (line) => lines.push(line));
	return { out: lines.join("\n"), resolved };
}

test("config print shows value and source of every setting in columns", () => {
	expect(run("print", "--domain", "a.test").out.split("\n")).toEqual([
		"SETTING            VALUE                SOURCE",
		"domain             a.test               flag",
		"host               unix:///a unix:///b  file /etc/f.json",
		"insecure-registry  -                    default",
	]);
});

test("config print --json keeps lists as lists and passes the other flags on", () => {
	const { out, resolved } = run("print", "--json", "--domain", "a.test");
	expect(JSON.parse(out).host).toEqual({ value: ["unix:///a", "unix:///b"], source: "file /etc/f.json" });
	expect(resolved).toEqual([["--domain", "a.test"]]);
});

test("config print --help lists the daemon's flags without resolving", () => {
	const { out, resolved } = run("print", "--help");
	expect(out).toContain("--domain DOMAIN  the names' domain");
	expect(resolved).toEqual([]);
});

test("anything but print is a usage error", () => {
	expect(() => run("show")).toThrow("usage: foredeck config print");
});
