import { expect, test } from "bun:test";
import { cacheFilterHolds } from "./cache.ts";

const entry = {
	...{ id: "abc", type: "exec.cachemount" as const, created: "", lastUsed: "", usageCount: 1, inUse: false, size: 1 },
	description: "a".repeat(5000),
};
const holds = (filter: string) => cacheFilterHolds(entry, filter);

test("a pattern is one of a part; one that would take for ever is refused", () => {
	expect(["id~=^ab", "id~=bc$", "id~=x", "id~=[", "description~=^a+$"].map(holds)).toEqual([
		...[true, true, false, false, true],
	]);
	expect(holds("description~=a*a*b")).toBe(false);
	for (const pattern of ["(a+)+b", "(a|a)*b", "a?a?a?b"]) {
		expect(() => holds(`description~=${pattern}`)).toThrow(`filter ~=${pattern} is not supported`);
	}
});
