import { GROUPS } from "./cases/all.ts";
import type { Case } from "./cases/case.ts";
import { createNormaliser, differences } from "./differ.ts";
import { explain } from "./known.ts";
import { type Reply, type Step, talk } from "./talk.ts";

// bun lab/compare/run.ts OURS.sock THEIRS.sock [GROUP[/CASE]]...
const [ours, theirs, ...wanted] = process.argv.slice(2);
if (!ours || !theirs) {
	console.error("usage: bun lab/compare/run.ts OURS.sock THEIRS.sock [GROUP[/CASE]]...");
	process.exit(2);
}

interface Engine {
	readonly socket: string;
	/** Where its data is. */
	readonly root: string;
}

async function engineAt(socket: string): Promise<Engine> {
	const { body } = await talk(socket, { method: "GET", path: "/info" });
	return { socket, root: (body as { DockerRootDir: string }).DockerRootDir };
}

const engines = [await engineAt(ours), await engineAt(theirs)] as const;

/** Label of all that is made. */
async function play({ socket, root }: Engine, { steps }: Case): Promise<Reply[]> {
	const replies: Reply[] = [];
	const normal = createNormaliser([root]);
	let [id, exec] = ["", ""];
	const made: string[] = [];
	for (const step of steps) {
		if (step.path.includes("{ID}") && id === "") break;
		if (step.path.includes("{EXEC}") && exec === "") break;
		const now = String(Math.floor(Date.now() / 1000) + 1);
		const path = step.path
			.replaceAll("{ID}", id)
			.replaceAll("%7BID%7D", id)
			.replaceAll("{EXEC}", exec)
			.replaceAll("{NOW}", now);
		const reply = await talk(socket, { ...step, path });
		const got = (reply.body as { Id?: string } | null)?.Id;
		if (got && reply.status === 201) {
			if (path.includes("/exec")) exec = got;
			else id = got;
			if (path.startsWith("/containers/create")) made.push(got);
		}
		replies.push({ status: reply.status, headers: reply.headers, body: normal(reply.body) });
	}
	for (const one of made) await talk(socket, { method: "DELETE", path: `/containers/${one}?force=1&v=1` });
	return replies;
}

const shown = ({ method, path, body, version }: Step) =>
	`${method} ${version === undefined ? "" : `v${version}`}${path}${body === undefined ? "" : ` ${typeof body === "string" ? body : JSON.stringify(body)}`.slice(0, 300)}`;

const brief = ({ status, body }: Reply) => (status >= 400 ? `${status} ${JSON.stringify(body)}` : String(status));

let [total, found, known] = [0, 0, 0];
for (const [group, cases] of Object.entries(GROUPS)) {
	for (const one of cases) {
		const name = `${group}/${one.name}`;
		if (wanted.length > 0 && !wanted.some((prefix) => name.startsWith(prefix))) continue;
		const [a, b] = await Promise.all([play(engines[0], one), play(engines[1], one)]);
		for (const [index, step] of one.steps.entries()) {
			const [mine, other] = [a[index], b[index]];
			if (!mine || !other || step.quiet) continue;
			total++;
			const unlike = mine.status !== other.status && mine.status >= 400 !== other.status >= 400;
			const all = unlike ? [`${brief(mine)} | ${brief(other)}`] : differences(mine, other);
			const lines = all.filter((line) => {
				const reason = explain(name, step, line, mine, other);
				if (reason !== undefined) known++;
				return reason === undefined;
			});
			if (lines.length === 0) continue;
			found++;
			console.log(`## ${name}: ${shown(step)}`);
			for (const line of lines) console.log(`   ${line}`);
			if (unlike) break;
		}
	}
}
console.log(`${total} replies compared, ${found} differ, ${known} differences known`);
