import { equal, eventually, includes } from "../../lib/assert.ts";
import { type Compose, createCompose, hasComposeV1 } from "../../lib/compose.ts";
import { lookup } from "../../lib/dns.ts";
import type { Lab, Scenario } from "../../lib/scenario.ts";
import { step } from "../../lib/scenario.ts";
import { copyStack, fetchText, loadStackImages, nothingLeft, request } from "../../lib/stacks.ts";

const PROJECT = "shop";
const SERVICES = ["proxy", "app", "db"];

function composeOf(lab: Lab, settings: { version?: 1 | 2; project?: string } = {}): Compose {
	return createCompose(lab, { stack: `${lab.directory}/stack`, project: PROJECT, ...settings });
}

/** The notes, through proxy and application out of the database; waits until all three are up. */
async function notes(compose: Compose): Promise<string[]> {
	return await eventually(
		"notes from the application",
		async () => {
			const { status, body } = await request(compose, ["proxy", 80], "/notes");
			if (status !== 200) throw new Error(`${status} ${body}`);
			return JSON.parse(body) as string[];
		},
		{ withinMs: 30_000, everyMs: 200 },
	);
}

async function keep(compose: Compose, text: string): Promise<void> {
	equal(
		(await request(compose, ["proxy", 80], "/notes", { method: "POST", body: text })).status,
		201,
		`keeping ${text}`,
	);
}

/** The service's address on one of the project's networks. */
async function addressOf({ docker }: Lab, service: string, network: string): Promise<string> {
	const format = `{{(index .NetworkSettings.Networks "${PROJECT}_${network}").IPAddress}}`;
	return await docker("inspect", "-f", format, `${PROJECT}-${service}-1`);
}

/** Exit code of a shell command in a service's container. */
async function codeOf(compose: Compose, service: string, command: string): Promise<number> {
	return (await compose.run(["exec", "-T", service, "sh", "-c", command])).code;
}

async function pids({ docker }: Lab): Promise<string> {
	return await docker("inspect", "-f", "{{.State.Pid}}", ...SERVICES.map((name) => `${PROJECT}-${name}-1`));
}

/** Reads a stream up to some text. */
async function untilSays(stream: ReadableStream<Uint8Array>, text: string): Promise<void> {
	let seen = "";
	for await (const chunk of stream) {
		seen += Buffer.from(chunk).toString();
		if (seen.includes(text)) return;
	}
	throw new Error(`${JSON.stringify(text)} is not in ${JSON.stringify(seen)}`);
}

export const scenario: Scenario = {
	title: "proxy, application and database on two networks: reachable as drawn, and not otherwise; back after crashes",
	steps: [
		step("images load", async (lab) => {
			copyStack(lab, import.meta.dir);
			await loadStackImages(lab, "nginx", "python", "mariadb");
		}),
		step("up: a note goes through the proxy into the database and comes back", async (lab) => {
			const compose = composeOf(lab);
			await compose("up", "-d");
			equal(await notes(compose), [], "notes of a new database");
			await keep(compose, "first");
			equal(await notes(compose), ["first"], "notes");
		}),
		step("each tier reaches the next one by its name", async (lab) => {
			const compose = composeOf(lab);
			includes(
				await compose("exec", "-T", "proxy", "getent", "hosts", "app"),
				await addressOf(lab, "app", "front"),
				"app",
			);
			includes(await compose("exec", "-T", "app", "getent", "hosts", "db"), await addressOf(lab, "db", "back"), "db");
			equal(await codeOf(compose, "app", `ping -c 1 -W 2 db`), 0, "application to database");
		}),
		step(
			"the proxy reaches the database neither by name nor by address, nor by way of the application",
			async (lab) => {
				const compose = composeOf(lab);
				const db = await addressOf(lab, "db", "back");
				equal(await codeOf(compose, "proxy", "getent hosts db"), 2, "getent hosts db");
				equal(await codeOf(compose, "proxy", `ping -c 1 -W 1 ${db}`), 1, "ping of the database's address");
				const refused = await codeOf(compose, "proxy", `timeout 2 bash -c '</dev/tcp/${db}/3306'`);
				equal(refused !== 0, true, `connecting to its port ends with ${refused}`);
				const appInBack = await addressOf(lab, "app", "back");
				equal(
					await codeOf(compose, "proxy", `ping -c 1 -W 1 ${appInBack}`),
					1,
					"ping of the application's other address",
				);
				const proxy = await addressOf(lab, "proxy", "front");
				equal((await codeOf(compose, "db", `ping -c 1 -W 1 ${proxy}`)) !== 0, true, "database to proxy");
			},
		),
		step("the internal network leads nowhere else", async (lab) => {
			const compose = composeOf(lab);
			equal(await codeOf(compose, "db", "ping -c 1 -W 1 192.0.2.1"), 2, "exit code of ping: network unreachable");
			equal(
				(await lab.docker("network", "inspect", "-f", "{{.Internal}}", `${PROJECT}_back`)).trim(),
				"true",
				"Internal",
			);
		}),
		step("the host finds every service by name, and the proxy by HTTP over it", async (lab) => {
			const name = (service: string) => `${service}.${PROJECT}.${lab.engine.domain}`;
			const proxy = await lookup(lab.engine.dns, name("proxy"));
			equal(proxy.addresses, [await addressOf(lab, "proxy", "front")], "proxy");
			equal((await lookup(lab.engine.dns, name("db"))).addresses, [await addressOf(lab, "db", "back")], "db");
			equal((await fetchText(`http://${proxy.addresses[0]}/notes`)).body.includes("first"), true, "notes by name");
		}),
		step("a database that is restarted, and an application that dies, are back with the notes", async (lab) => {
			const compose = composeOf(lab);
			await compose("restart", "db");
			equal(await notes(compose), ["first"], "notes after restart");
			const pid = Number(await lab.docker("inspect", "-f", "{{.State.Pid}}", `${PROJECT}-app-1`));
			process.kill(pid, "SIGKILL");
			await eventually("a new process of the application", async () => {
				const now = Number(await lab.docker("inspect", "-f", "{{.State.Pid}}", `${PROJECT}-app-1`));
				return now !== 0 && now !== pid;
			});
			equal(await notes(compose), ["first"], "notes after a crash of the application");
		}),
		step("kill -9 of the daemon: the tiers run on, and work as before under a new daemon", async (lab) => {
			const compose = composeOf(lab);
			const before = await pids(lab);
			const { addresses } = await lookup(lab.engine.dns, `proxy.${PROJECT}.${lab.engine.domain}`);
			await lab.engine.kill();
			equal((await fetchText(`http://${addresses[0]}/`)).status > 0, true, "the proxy answers while no daemon runs");
			await lab.engine.start();
			equal(await pids(lab), before, "pids");
			await keep(compose, "second");
			equal(await notes(compose), ["first", "second"], "notes");
			equal(await codeOf(compose, "proxy", "getent hosts db"), 2, "isolation of names");
			const db = await addressOf(lab, "db", "back");
			equal(await codeOf(compose, "proxy", `ping -c 1 -W 1 ${db}`), 1, "isolation of addresses");
		}),
		step("kill -9 of the daemon in the middle of up: another up completes it", async (lab) => {
			const compose = composeOf(lab);
			const cut = compose.start(["up", "-d", "--force-recreate"]);
			await untilSays(cut.stderr, "Recreated");
			await lab.engine.kill();
			equal((await cut.exited) !== 0, true, "up was cut off");
			await lab.engine.start();
			await compose("up", "-d");
			equal(await notes(compose), ["first", "second"], "notes");
			const running = (await compose("ps", "--format", "{{.Name}}")).split("\n").sort();
			equal(running, SERVICES.map((name) => `${PROJECT}-${name}-1`).sort(), "containers");
		}),
		step("down and up keep the notes; down -v leaves nothing", async (lab) => {
			const compose = composeOf(lab);
			await compose("down");
			await compose("up", "-d");
			equal(await notes(compose), ["first", "second"], "notes after down and up");
			await compose("down", "-v");
			await nothingLeft(lab, PROJECT);
		}),
		step("Compose v1 runs the same stack", async (lab) => {
			if (!hasComposeV1()) return;
			const compose = composeOf(lab, { version: 1, project: "older" });
			await compose("up", "-d");
			equal(await notes(compose), [], "notes of another project");
			await keep(compose, "old");
			equal(await codeOf(compose, "proxy", "getent hosts db"), 2, "getent hosts db");
			await compose("restart", "app");
			equal(await notes(compose), ["old"], "notes");
			await compose("down", "-v");
			await nothingLeft(lab, "older");
		}),
	],
};
