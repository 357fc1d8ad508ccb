import { expect, test } from "bun:test";
import { keepLoopbackDirect } from "./proxy-settings.ts";
import { startFake } from "./testing/fake-registry.ts";

test("what is excluded already stays so, loopback is added once", () => {
	const environment: Record<string, string | undefined> = { NO_PROXY: "a.test, 127.0.0.0/8" };
	keepLoopbackDirect(environment);
	keepLoopbackDirect(environment);
	expect(environment.NO_PROXY?.split(",").map((one) => one.trim())).toContain("a.test");
	expect(environment.no_proxy?.split(",").filter((one) => one.includes("localhost"))).toEqual(["localhost"]);
});

test("with a proxy set, 127.0.0.1 is reached directly", async () => {
	await using server = await startFake(() => undefined);
	const module = JSON.stringify(`${import.meta.dir}/proxy-settings.ts`);
	const script = `import { keepLoopbackDirect } from ${module}; keepLoopbackDirect(process.env); console.log((await fetch("http://${server.domain}/v2/")).status)`;
	const env = { HTTP_PROXY: "http://127.0.0.1:1", http_proxy: "http://127.0.0.1:1", NO_PROXY: "a.test" };
	const child = Bun.spawn([process.execPath, "-e", script], { env, stdout: "pipe", stderr: "pipe" });
	expect((await new Response(child.stdout).text()).trim()).toBe("200");
});
