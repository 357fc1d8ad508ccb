import { equal, eventually, includes } from "../../lib/assert.ts";
import { loadImage } from "../../lib/load-image.ts";
import type { Lab, Scenario } from "../../lib/scenario.ts";
import { step } from "../../lib/scenario.ts";
import { bothFamilies, refusals, runningFlows } from "./more-steps.ts";
import {
	address,
	applied,
	apply,
	exec,
	heard,
	hears,
	NAMES,
	policy,
	resolved,
	ruleset,
	run,
	SERVERS,
	serveNames,
	speaker,
} from "./tools.ts";

const LOCK = `
name: lock
select: { names: [web] }
default: { egress: deny }
rules:
  - action: allow
    to: ["api.example.org:80", "*.wild.example.org"]
`;

async function lockHolds(lab: Lab): Promise<void> {
	equal(await hears(lab, "web", SERVERS.api), "api", "the server that was resolved");
	equal(await heard(lab, "web", SERVERS.api, "81"), "", "another port of it");
	equal(await heard(lab, "web", SERVERS.other), "", "a server that was not");
	equal(await hears(lab, "free", SERVERS.other), "other", "the same by one without a policy");
}

export const scenario: Scenario = {
	title: "network policies let through what they say and nothing else",
	steps: [
		step("a network with servers, a name server for them, and two clients", async (lab) => {
			await loadImage(lab, "busybox");
			await lab.docker("network", "create", "--subnet", "10.214.0.0/24", "front");
			await lab.docker("network", "create", "back");
			for (const [name, ip] of Object.entries(SERVERS)) {
				await run(lab, name, ["--network", "front", "--ip", ip], speaker(name));
			}
			await serveNames();
			await run(lab, "web", ["--network", "front", "--dns", NAMES]);
			await run(lab, "free", ["--network", "front", "--dns", NAMES]);
			await eventually("the name server", async () => (await resolved(lab, "free", "api.example.org")) === SERVERS.api);
			equal(await hears(lab, "web", SERVERS.other), "other", "without policies all is open");
		}),
		step("a mistake is named by its place; a dry run changes nothing", async (lab) => {
			const wrong = await apply(lab, "name: a\nselect: { name: [web] }\n");
			includes(
				wrong.text,
				"unknown field [0].select.name: allowed are all, names, labels, networks, projects",
				"mistake",
			);
			equal(wrong.code, 1, "its exit code");
			const before = await ruleset(lab);
			includes((await apply(lab, LOCK, "--dry-run")).text, "lock would be created: web", "dry run");
			equal(await ruleset(lab), before, "ruleset after the dry run");
			equal(await hears(lab, "web", SERVERS.other), "other", "still open");
		}),
		step("default deny: only what was resolved by an allowed name, and wildcards below theirs", async (lab) => {
			equal(await applied(lab, LOCK), "lock created: web", "apply");
			equal(await heard(lab, "web", SERVERS.api), "", "before it was resolved");
			equal(await resolved(lab, "web", "api.example.org"), SERVERS.api, "resolved");
			await lockHolds(lab);
			equal(await resolved(lab, "web", "a.b.wild.example.org"), SERVERS.deep, "below the wildcard");
			equal(await hears(lab, "web", SERVERS.deep, "81"), "deep", "on any port");
			includes(await resolved(lab, "web", "wild.example.org"), "NXDOMAIN", "the wildcard's own name");
			includes(await resolved(lab, "web", "other.example.org"), "NXDOMAIN", "a name of no rule");
			const direct = await resolved(lab, "web", "other.example.org", NAMES);
			equal(direct.includes(SERVERS.other), false, "another resolver asked directly");
			equal((await exec(lab, "web", "ping", "-c", "1", "-W", "1", NAMES)).code, 1, "ping");
		}),
		step("deny wins over allow, in whichever policy and order", async (lab) => {
			await applied(lab, "name: never\nselect: { names: [nobody] }\n");
			const text = await applied(
				lab,
				`name: never\nselect: { names: ["w*"] }\nrules:\n  - { action: allow, to: [10.214.0.0/24] }\n  - { action: deny, to: ["10.214.0.10/32"] }\n`,
			);
			equal(text, "never updated: web", "apply");
			equal(await heard(lab, "web", SERVERS.api), "", "allowed by name in one, denied by address in the other");
			equal(await hears(lab, "web", SERVERS.other), "other", "allowed by the other's network");
			const told = await policy(lab, "explain", "web", "api.example.org:80");
			equal(told.code, 1, "exit code of explain");
			includes(told.text, "out of web: deny by never rules[1]", "explain");
			await policy(lab, "delete", "never");
			await lockHolds(lab);
		}),
		step("peers by label and network; both ends must allow; one that comes later is known at once", async (lab) => {
			await run(lab, "db", ["--network", "back"], speaker("db"));
			await applied(
				lab,
				`name: db\nselect: { networks: [back], names: [db] }\ndefault: { ingress: deny }\nrules:\n  - { action: allow, from: [{ sandboxes: { labels: { role: app }, networks: [back] } }], ports: 80 }\n`,
			);
			await run(lab, "app", ["--network", "front", "--label", "role=app", "--dns", NAMES]);
			await run(lab, "guest", ["--network", "back"]);
			await lab.docker("network", "connect", "back", "app");
			const db = await address(lab, "db", "back");
			equal(await hears(lab, "app", db), "db", "by label");
			equal(await heard(lab, "app", db, "81"), "", "another port");
			equal(await heard(lab, "guest", db), "", "without the label");
			await lab.docker("network", "disconnect", "back", "app");
			await lab.docker("network", "connect", "back", "app");
			equal(await hears(lab, "app", db), "db", "by label, after it came again");
			includes((await policy(lab, "explain", "guest", "db:80")).text, "into db: deny by db, its default", "explain");
			includes((await policy(lab, "explain", "app", "db:80")).text, "into db: allow by db rules[0]", "explain");
		}),
		step(
			"a label names a policy: it holds from the start; one that is not there keeps the container from starting",
			async (lab) => {
				await applied(lab, "name: shut\ndefault: { egress: deny, ingress: deny }\n");
				const shut = ["run", "--rm", "--network", "front", "--label", "foredeck.policy=shut", "busybox"];
				const { code } = await lab.docker.run([...shut, "nc", "-w", "1", SERVERS.other, "80"]);
				equal(code, 1, "exit code of nc, first of all");
				const missing = await lab.docker.run(["run", "--rm", "--label", "foredeck.policy=nosuch", "busybox", "true"]);
				equal(missing.code, 125, "exit code for a policy that is not there");
				includes(missing.stderr, `names policy "nosuch", which does not exist`, "reason");
			},
		),
		step("a policy for a published port sees who comes", async (lab) => {
			await run(lab, "site", ["--network", "back", "-p", "28090:80"], speaker("site"));
			equal(await hears(lab, "free", NAMES, "28090"), "site", "open without a policy");
			await applied(
				lab,
				`name: site\nselect: { names: [site] }\ndefault: { ingress: deny }\nrules:\n  - { action: allow, from: [{ sandboxes: { names: [app] } }] }\n`,
			);
			equal(await heard(lab, "free", NAMES, "28090"), "", "by one who may not");
			equal(await hears(lab, "app", NAMES, "28090"), "site", "by one who may");
		}),
		step("counters and the log tell what was denied", async (lab) => {
			const { text } = await policy(lab, "log");
			includes(text, `web egress other:80/tcp denied by lock, its default`, "denied address");
			includes(text, "web egress other.example.org (name) denied by lock, its default", "denied name");
			includes(text, "db ingress guest:80/tcp denied by db, its default", "denied peer");
			const counts = JSON.parse((await policy(lab, "show", "lock", "--json")).text).counts;
			const denied = counts.find(({ rule }: { rule: unknown }) => rule === "egress")?.packets ?? 0;
			equal(denied > 3, true, `denied packets of lock: ${denied}`);
			includes((await policy(lab, "list")).text, "lock", "list");
		}),
		step("both families: ingress, names, explanations and topology are of IPv6 as well", bothFamilies),
		step("a connection that runs ends when a policy denies it, in either family; others go on", runningFlows),
		step("where a policy cannot be enforced, neither it nor the container comes to be", refusals),
		step("kill -9, a rename and a network more: all of it holds, and what was resolved stays", async (lab) => {
			const { docker, engine } = lab;
			await engine.kill();
			includes(await ruleset(lab), "policed_egress", "rules while no daemon runs");
			await engine.start();
			await lockHolds(lab);
			equal(await heard(lab, "guest", await address(lab, "db", "back")), "", "peers");
			await docker("network", "create", "more");
			await lockHolds(lab);
			await docker("rename", "web", "www");
			equal(await hears(lab, "www", SERVERS.other), "other", "by a name of no policy");
			await docker("rename", "www", "web");
			await eventually("closed again", async () => (await heard(lab, "web", SERVERS.other)) === "");
		}),
		step("without policies nothing is left of them in the kernel", async (lab) => {
			for (const name of ["lock", "db", "shut", "site", "inner", "six"])
				equal((await policy(lab, "delete", name)).code, 0, name);
			equal(await hears(lab, "web", SERVERS.other), "other", "open again");
			const text = await ruleset(lab);
			equal(/polic(ed|y_)|anywhere|strays|name\./.test(text), false, `left in the ruleset: ${text}`);
		}),
	],
};
