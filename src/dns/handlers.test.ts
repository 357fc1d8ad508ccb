import { expect, test } from "bun:test";
import { addressOfReverse } from "./handlers.ts";

test("reverse names of both families give the address in its one spelling, others none", () => {
	expect(addressOfReverse("4.3.2.1.in-addr.arpa")).toBe("1.2.3.4");
	const reverse = [...`fd770001${"0".repeat(22)}a2`].reverse().join(".");
	expect(addressOfReverse(`${reverse}.ip6.arpa`)).toBe("fd77:1::a2");
	const wrong = ["3.2.1.in-addr.arpa", `${reverse.slice(2)}.ip6.arpa`, `${reverse}.ip6.int`, "x.ip6.arpa"];
	expect(wrong.map(addressOfReverse)).toEqual(wrong.map(() => undefined));
});
