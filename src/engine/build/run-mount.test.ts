import { expect, test } from "bun:test";
import { EngineError } from "../../shared/errors.ts";
import { parseRunMount } from "./run-mount.ts";

const read = (text: string) => parseRunMount(text, (message) => new EngineError("invalid", message));

test.each([
	["target=/x", { type: "bind", target: "/x", source: "", readonly: true }],
	["type=bind,from=a,src=/s,dst=/x,rw", { from: "a", source: "/s", readonly: false }],
	["type=cache,target=/c", { type: "cache", id: "", sharing: "shared", readonly: false }],
	[
		"type=cache,id=i,target=/c,sharing=LOCKED,mode=0700,uid=1,gid=2,ro",
		{ id: "i", sharing: "locked", mode: 0o700, uid: 1, gid: 2, readonly: true },
	],
	["type=tmpfs,target=/t,size=1.5m", { size: 1.5 * 1024 ** 2 }],
	["type=secret,id=s,required", { id: "s", required: true, target: "" }],
	["type=secret,id=s,env=TOKEN,required=false", { env: "TOKEN", required: false }],
	["type=ssh", { type: "ssh", id: "", required: false }],
	['type=bind,"source=a,b",target=/x', { source: "a,b" }],
])("%s is read", (text, meaning) => {
	expect(read(text)).toMatchObject(meaning as object);
});

test.each([
	["type=volume,target=/x", 'unsupported mount type "volume"'],
	["type=cache", 'invalid mount target ""'],
	["type=bind,target=/x,mode=700", 'mode is not allowed for mount type "bind"'],
	["type=bind,target=/x,sharing=locked", 'sharing is not allowed for mount type "bind"'],
	["type=secret,from=x,id=y", 'from is not allowed for mount type "secret"'],
	["type=cache,target=/x,sharing=often", 'unsupported sharing value "often"'],
	["type=cache,target=/x,mode=999", "invalid value 999 for mode"],
	["type=cache,target=/x,uid=-1", "invalid value -1 for uid"],
	["type=cache,target=/x,readonly=perhaps", "invalid value for readonly: perhaps"],
	["type=tmpfs,target=/x,size=big", "invalid value for size: big"],
	["type=cache,targets=/x", "unexpected key 'targets'"],
	["type=cache,target", "invalid field 'target' must be a key=value pair"],
	["type=secret", "invalid secret mount"],
])("%s is refused", (text, why) => {
	expect(() => read(text)).toThrow(why);
});
