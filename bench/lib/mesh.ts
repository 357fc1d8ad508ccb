import { act, createContainer, type Engine, removeBenchContainers, withConnection } from "./engine.ts";
import { execIn } from "./exec.ts";
import { addressOn, createNetwork, removeNetwork } from "./networks.ts";
import { loadTrafficImage } from "./traffic.ts";

const NETWORK = "foredeck-bench-mesh";
/** Between two echoes of one container, ms: a hundred of them ask for little of two cores. */
const INTERVAL_MS = 50;
/** Until then every container has its command. */
const PREPARE_SECONDS = 20;

interface Member {
	readonly id: string;
	readonly address: string;
}

/** Containers of one network, each of which asks every other one for an echo, all at the same time. */
export class Mesh {
	private constructor(
		private readonly engine: Engine,
		private readonly members: readonly Member[],
	) {}

	static async start(engine: Engine, count: number): Promise<Mesh> {
		const image = await loadTrafficImage(engine);
		await createNetwork(engine, NETWORK);
		const members = await withConnection(engine, async (connection) => {
			const made: Member[] = [];
			for (let i = 0; i < count; i++) {
				const hostConfig = { NetworkMode: NETWORK };
				const id = await createContainer(connection, { image, command: ["sleep", "1000000"], hostConfig });
				await act(connection, "POST", `/containers/${id}/start`);
				made.push({ id, address: await addressOn(connection, id, NETWORK) });
			}
			return made;
		});
		return new Mesh(engine, members);
	}

	/** Milliseconds of every echo that came back, sorted; and how many did not. */
	async ping(): Promise<{ times: number[]; lost: number }> {
		const begin = Math.ceil(Date.now() / 1000) + PREPARE_SECONDS;
		const reports = await Promise.all(this.members.map((member) => this.pingFrom(member, begin)));
		const answers = reports.flatMap((report) => [...report.matchAll(/ : ([\d.]+|-)/g)].map(([, time]) => Number(time)));
		const expected = this.members.length * (this.members.length - 1);
		if (answers.length !== expected) throw new Error(`${answers.length} of ${expected} echoes were sent`);
		const times = answers.filter((time) => !Number.isNaN(time)).sort((a, b) => a - b);
		return { times, lost: expected - times.length };
	}

	async remove(): Promise<void> {
		await removeBenchContainers(this.engine);
		await removeNetwork(this.engine, NETWORK);
	}

	/** fping gives 1 when an echo was lost: that is told apart by its report. */
	private async pingFrom({ id, address }: Member, begin: number): Promise<string> {
		const others = this.members.flatMap((other) => (other.address === address ? [] : [other.address]));
		const script = `sleep $((${begin} - $(date +%s))); fping -q -C1 -i${INTERVAL_MS} ${others.join(" ")} || true`;
		return await execIn(this.engine, id, ["sh", "-c", script]);
	}
}
