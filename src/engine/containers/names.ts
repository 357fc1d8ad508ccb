import { EngineError } from "../../shared/errors.ts";
import type { Context } from "./context.ts";

const VALID = /^\/?[a-zA-Z0-9][a-zA-Z0-9_.-]+$/;

const ADJECTIVES =
	"able amber brave bright brisk calm clear clever cosy crisp eager early fair fleet fond fresh gentle glad golden grand happy hardy keen kind lively lucid merry mild neat nimble noble plain polite proud quick quiet ready rosy sharp silent sincere sleek snug solid steady sunny swift tidy tranquil vivid warm wise witty zesty";
const NOUNS =
	"acorn alder anchor badger beacon birch bramble brook canyon cedar comet coral crane delta dune ember falcon fern finch fjord glacier grove harbor heron ibis island jasper juniper kestrel lagoon lantern larch lichen lynx maple marten meadow nebula oak orchid osprey otter pebble pine plover quartz raven reed river rowan saffron sparrow spruce summit thistle tundra valley willow wren";

/** The name without its slash; docker's words when it is none, or taken. */
export function checkName(context: Pick<Context, "store" | "reserved">, asked: string): string {
	if (!VALID.test(asked)) {
		throw new EngineError("invalid", `Invalid container name (${asked}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed`);
	}
	const name = asked.replace(/^\//, "");
	const holder = context.store.byName(name)?.id ?? context.reserved.get(name);
	if (holder) {
		throw new EngineError(
			"conflict",
			`Conflict. The container name "/${name}" is already in use by container "${holder}". You have to remove (or rename) that container to be able to reuse that name.`,
		);
	}
	return name;
}

/** A free `adjective_noun`; with a digit after some collisions. */
export function generateName(context: Pick<Context, "store" | "reserved">, random: () => number = Math.random): string {
	const pick = (words: readonly string[]) => words[Math.floor(random() * words.length)] ?? "plain";
	const adjectives = ADJECTIVES.split(" ");
	const nouns = NOUNS.split(" ");
	for (let attempt = 0; ; attempt++) {
		const suffix = attempt < 6 ? "" : String(Math.floor(random() * 10 ** Math.min(attempt - 5, 9)));
		const name = `${pick(adjectives)}_${pick(nouns)}${suffix}`;
		if (!context.store.byName(name) && !context.reserved.has(name)) return name;
	}
}
