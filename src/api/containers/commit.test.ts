import { expect, test } from "bun:test";
import { FakeContainers, fakeRecord } from "../testing/fakes.ts";
import { commitReply } from "./commit.ts";
import { changesReply, exportReply } from "./export.ts";

const containers = new FakeContainers();
containers.add(fakeRecord("web", { status: "created" }));
const post = (query: string, body?: string) =>
	commitReply(
		containers,
		new Request(`http://localhost/commit?${query}`, {
			method: "POST",
			body,
			headers: { "content-type": "application/json" },
		}),
	);

test("commit pauses unless told not to; its changes come repeated or in lines; the body says only what it says", async () => {
	const reply = await post(
		"container=web&repo=app&tag=1&comment=c&author=a&changes=ENV%20A%3D1%0AUSER%20x&changes=CMD%20y",
		"null",
	);
	expect([reply.status, await reply.json()]).toEqual([201, { Id: "sha256:0" }]);
	const options = { repo: "app", tag: "1", comment: "c", author: "a", pause: true, config: {} };
	expect(containers.calls.at(-1)).toEqual(["commit", "web", { ...options, changes: ["ENV A=1", "USER x", "CMD y"] }]);
	await post("container=web&pause=0", '{"Cmd":["x"],"Env":null,"User":"","Hostname":"ignored"}');
	expect(containers.calls.at(-1)?.[2]).toMatchObject({ pause: false, repo: undefined, config: { Cmd: ["x"] } });
	await expect(post("container=nope")).rejects.toThrow("No such container: nope");
});

test("changes have docker's numbers, null for none; export gives the tar as it comes", async () => {
	expect(await (await changesReply(containers, "web")).json()).toEqual([{ Path: "/new", Kind: 1 }]);
	const none = Object.assign(new FakeContainers(), { changes: async () => [] });
	expect(await (await changesReply(none, "web")).json()).toBeNull();
	expect(await exportReply(containers, "web").text()).toBe("web");
});
