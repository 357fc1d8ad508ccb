import { expect, test } from "bun:test";
import { chainIds } from "./digest.ts";
import { familiarString, parseNewTag, parseReference, parseTagged, repositoryOf } from "./reference.ts";

test("names are shown in docker's familiar form", () => {
	const shown = (text: string) => familiarString(parseTagged(text));
	expect(shown("busybox")).toBe("busybox:latest");
	expect(shown("docker.io/library/busybox:1")).toBe("busybox:1");
	expect(shown("index.docker.io/alice/app")).toBe("alice/app:latest");
	expect(shown("127.0.0.1:5000/app")).toBe("127.0.0.1:5000/app:latest");
	expect(shown("localhost/app:2")).toBe("localhost/app:2");
	expect(shown(`busybox@sha256:${"a".repeat(64)}`)).toBe(`busybox@sha256:${"a".repeat(64)}`);
	expect(repositoryOf("127.0.0.1:5000/a/b:1")).toBe("127.0.0.1:5000/a/b");
});

test("names outside the grammar are refused in docker's words", () => {
	for (const bad of ["", ":tag", "a//b", "a:", "-a", "a@sha256:12", "a/../b", "a b"]) {
		expect(() => parseReference(bad)).toThrow("invalid reference format");
	}
	expect(() => parseReference("Foo")).toThrow("repository name (library/Foo) must be lowercase");
	expect(() => parseReference("a".repeat(64))).toThrow("cannot specify 64-byte hexadecimal strings");
	expect(() => parseReference(`x${"z".repeat(255)}`)).toThrow("must not be more than 255 characters");
});

test("chainIds() hashes parent and diffID; the first is the diffID itself", () => {
	const [a, b] = [`sha256:${"1".repeat(64)}`, `sha256:${"2".repeat(64)}`];
	const hash = new Bun.CryptoHasher("sha256").update(`${a} ${b}`).digest("hex");
	expect(chainIds([a, b])).toEqual([a, `sha256:${hash}`]);
	expect(chainIds([])).toEqual([]);
});

test("no image gets a name that digests look like", () => {
	for (const name of ["sha256", "sha256:latest", `sha256:${"a".repeat(64)}`, "docker.io/library/sha256:1"])
		expect(() => parseNewTag(name)).toThrow("refusing to create an ambiguous tag using digest algorithm as name");
	expect(parseNewTag("me/sha256:1")).toMatchObject({ path: "me/sha256", tag: "1" });
});
