import { afterAll, beforeAll, expect, test } from "bun:test";
import { silentLogger } from "../../shared/log.ts";
import { check, libc } from "../../sys/linux/libc.ts";
import { createBridge, deleteLink, findLink, listLinks } from "../../sys/linux/link.ts";
import { RouteSocket } from "../../sys/linux/netlink.ts";
import { openNetns } from "../../sys/linux/netns.ts";
import { closePort } from "../../sys/linux/port-socket.ts";
import { Removals } from "./removals.ts";

const CLONE_NEWNET = 0x40000000;
const home = openNetns("/proc/thread-self/ns/net");
let socket: RouteSocket;

beforeAll(() => {
	check(libc.unshare(CLONE_NEWNET), "unshare --net");
	socket = new RouteSocket();
});

afterAll(() => {
	socket[Symbol.dispose]();
	check(libc.setns(home, CLONE_NEWNET), "setns");
	closePort(home);
});

const make = (name: string) => socket.request(createBridge(name, "02:42:00:00:00:01"));
const names = () => listLinks(socket).flatMap(({ name }) => (name === "lo" ? [] : name));

test("those that go are gone when it is said, others stay, and nobody else waits long for the kernel meanwhile", async () => {
	const removals = new Removals(socket, silentLogger);
	for (const name of ["a", "b", "c", "d", "e", "stays"]) make(name);
	const begin = performance.now();
	for (const name of ["a", "b", "c", "d", "e"]) socket.request(deleteLink(findLink(socket, name)?.index ?? 0));
	const inThisProcess = performance.now() - begin;
	for (const name of ["a", "b", "c", "d", "e"]) make(name);
	const all = ["a", "b", "c", "d", "e"].map((name) => removals.add(name));
	expect(removals.names()).toEqual(["a", "b", "c", "d", "e"]);
	expect(names()).toHaveLength(6);
	let waited = 0;
	let last = performance.now();
	const clock = setInterval(() => {
		waited = Math.max(waited, performance.now() - last);
		last = performance.now();
	}, 5);
	await Promise.all(all);
	clearInterval(clock);
	expect(names()).toEqual(["stays"]);
	expect(removals.names()).toEqual([]);
	expect(waited).toBeLessThan(inThisProcess);
	await removals.add("never there");
});

test("a name that is wanted again is free at once, and its next bearer is left alone", async () => {
	const removals = new Removals(socket, silentLogger);
	for (const name of ["early", "late"]) make(name);
	const before = findLink(socket, "late")?.index;
	const [early, late] = [removals.add("early"), removals.add("late")];
	removals.hurry("early");
	make("early");
	await early;
	// The other is on its way by now.
	await Bun.sleep(230);
	removals.hurry("late");
	make("late");
	await late;
	await removals.settled();
	expect(names().toSorted()).toEqual(["early", "late", "stays"]);
	expect(findLink(socket, "late")?.index).not.toBe(before);
	await Promise.all(["early", "late", "stays"].map((name) => removals.add(name)));
});

test("settled() hurries all there is", async () => {
	const removals = new Removals(socket, silentLogger);
	for (let number = 0; number < 12; number++) {
		make(`many${number}`);
		void removals.add(`many${number}`);
	}
	await removals.settled();
	expect(names()).toEqual([]);
});
