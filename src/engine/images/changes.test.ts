import { expect, test } from "bun:test";
import { applyChanges } from "./changes.ts";

test("changes are read as Dockerfile instructions", () => {
	const changes = ['CMD ["a", "b c"]', "entrypoint run it", 'ENV A=1 B="x y" C=d\\ e', "ENV A 2 3", "EXPOSE 80 53/udp"];
	const more = ['LABEL k="v w"', "USER 1:2", 'VOLUME ["/v"]', "WORKDIR /a", "WORKDIR b", "STOPSIGNAL SIGINT"];
	expect(applyChanges({}, [...changes, ...more])).toEqual({
		Cmd: ["a", "b c"],
		Entrypoint: ["/bin/sh", "-c", "run it"],
		Env: ["A=2 3", "B=x y", "C=d e"],
		ExposedPorts: { "80/tcp": {}, "53/udp": {} },
		Labels: { k: "v w" },
		User: "1:2",
		Volumes: { "/v": {} },
		WorkingDir: "/a/b",
		StopSignal: "SIGINT",
	});
});

test("other instructions are refused by name", () => {
	const texts: [string, string][] = [
		["RUN x", "RUN is not a valid change command"],
		["CONSTRUCTOR x", "CONSTRUCTOR is not a valid change command"],
		["CMD", "CMD requires at least one argument"],
		["EXPOSE http", "Invalid containerPort: http"],
		["STOPSIGNAL abc", "invalid signal: abc"],
		["ENV x", "is no key=value"],
	];
	for (const [bad, text] of texts) expect(() => applyChanges({}, [bad])).toThrow(text);
});

test("an empty list leaves command and entrypoint as they were", () => {
	const base = { Cmd: ["old"], Entrypoint: ["e"] };
	expect(applyChanges(base, ["CMD []", "ENTRYPOINT [ ]"])).toEqual(base);
});

test("an entrypoint takes the old command away; health checks and triggers are read", () => {
	const base = { Cmd: ["old"], Env: ["A=1"] };
	expect(applyChanges(base, ['ENTRYPOINT ["new"]'])).toEqual({ ...base, Entrypoint: ["new"], Cmd: undefined });
	expect(applyChanges(base, ["CMD mine", "ENTRYPOINT x"]).Cmd).toEqual(["/bin/sh", "-c", "mine"]);
	const check = applyChanges({}, ["ONBUILD RUN x", "HEALTHCHECK --interval=1m30s --retries=2 CMD curl -f x"]);
	expect(check).toEqual({
		OnBuild: ["RUN x"],
		Healthcheck: { Test: ["CMD-SHELL", "curl -f x"], Interval: 90e9, Retries: 2 },
	});
	expect(applyChanges({}, ['HEALTHCHECK CMD ["a"]', "healthcheck none"]).Healthcheck).toEqual({ Test: ["NONE"] });
	expect(() => applyChanges({}, ["HEALTHCHECK --often=1s CMD x"])).toThrow("invalid HEALTHCHECK flag --often=1s");
});

test("variables are the image's, filled in outside single quotes", () => {
	const at = (change: string) => change.replaceAll("@", "$");
	const base = { Env: ["PATH=/bin", "WHO=a b"] };
	const changes = [
		"ENV PATH=$PATH:/opt X=\"@{WHO}!\" Y='$WHO' Z=\\$WHO N=@{NONE:-none}",
		"USER @{WHO:+me}",
		"WORKDIR /$X",
		"CMD echo $WHO",
	];
	expect(applyChanges(base, changes.map(at))).toEqual({
		Env: ["PATH=/bin:/opt", "WHO=a b", "X=a b!", "Y=$WHO", "Z=$WHO", "N=none"],
		User: "me",
		WorkingDir: "/a b!",
		Cmd: ["/bin/sh", "-c", "echo $WHO"],
	});
	expect(() => applyChanges(base, [at("ENV A=@{B/c/d}")])).toThrow("unsupported modifier in substitution");
});
