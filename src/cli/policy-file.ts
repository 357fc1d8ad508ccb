import { readFileSync } from "node:fs";
import { parseAllDocuments } from "yaml";
import { messageOf } from "../shared/errors.ts";

/** The policies of a YAML or JSON file (`-`: standard input), as they stand there. YAML may have several documents, each a policy or a list of them. */
export function readPolicyFile(path: string): unknown[] {
	const text = readText(path);
	// JSON is YAML too; keys that stand twice are an error in both.
	const documents = parseAllDocuments(text, { uniqueKeys: true, schema: "core", merge: false });
	const found: unknown[] = [];
	for (const document of Array.isArray(documents) ? documents : []) {
		const [problem] = [...document.errors, ...document.warnings];
		if (problem) throw new Error(`cannot read ${path}: ${problem.message}`);
		const value = contentOf(path, () => document.toJS({ maxAliasCount: 100 }));
		if (value !== null) found.push(...policiesIn(value));
	}
	if (found.length === 0) throw new Error(`cannot read ${path}: it holds no policy`);
	return found;
}

function contentOf(path: string, read: () => unknown): unknown {
	try {
		return read();
	} catch (error) {
		throw new Error(`cannot read ${path}: ${messageOf(error)}`);
	}
}

/** A document is a policy, a list, or `policies:` and a list; what else is wrong with it, the engine says. */
function policiesIn(value: unknown): unknown[] {
	if (Array.isArray(value)) return value;
	if (typeof value === "object" && value !== null && "policies" in value && Object.keys(value).length === 1) {
		return Array.isArray(value.policies) ? value.policies : [value];
	}
	return [value];
}

function readText(path: string): string {
	try {
		return readFileSync(path === "-" ? 0 : path, "utf8");
	} catch (error) {
		throw new Error(`cannot read ${path}: ${messageOf(error)}`);
	}
}
