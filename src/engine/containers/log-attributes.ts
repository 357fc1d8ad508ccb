import { hostname } from "node:os";
import { EngineError, messageOf } from "../../shared/errors.ts";
import type { ContainerRecord } from "./record.ts";

type Options = Readonly<Record<string, string>>;

const invalid = (message: string) => new EngineError("invalid", message);

/** The labels and variables that the options labels, labels-regex, env and env-regex pick. */
export function logAttributes(
	options: Options,
	labels: Readonly<Record<string, string>>,
	env: readonly string[],
): Record<string, string> {
	const variables = Object.fromEntries(
		env.map((entry) => [entry.split("=", 1)[0] ?? "", entry.slice(entry.indexOf("=") + 1)]),
	);
	return {
		...picked(labels, options.labels, options["labels-regex"]),
		...picked(variables, options.env, options["env-regex"]),
	};
}

function picked(from: Readonly<Record<string, string>>, names = "", pattern = ""): Record<string, string> {
	const listed = names.split(",");
	const matches = pattern === "" ? undefined : compile(pattern);
	return Object.fromEntries(Object.entries(from).filter(([name]) => listed.includes(name) || matches?.test(name)));
}

function compile(pattern: string): RegExp {
	try {
		return new RegExp(pattern);
	} catch (cause) {
		throw new EngineError("invalid", `error parsing regexp: ${messageOf(cause)}: \`${pattern}\``, { cause });
	}
}

/**
 * The option `tag`: text with fields, as `{{.ImageName}}/{{.Name}}/{{.ID}}`. Of Go's templates nothing more is known; "invalid" for it.
 * Without a record it is only checked.
 */
export function logTag(template: string, record: ContainerRecord | undefined): string {
	const tag = template.replace(/\{\{-?\s*\.(\w+)\s*-?\}\}/g, (_all, field: string) => {
		const value = FIELDS[field];
		if (value) return record ? value(record) : "";
		throw invalid(
			`template: log-tag:1: executing "log-tag" at <.${field}>: can't evaluate field ${field} in type *logger.Info`,
		);
	});
	if (tag.includes("{{")) throw invalid(`template: log-tag:1: only fields are known, as {{.Name}}: ${template}`);
	return tag;
}

const FIELDS: Record<string, (record: ContainerRecord) => string> = {
	ID: ({ id }) => id.slice(0, 12),
	FullID: ({ id }) => id,
	ContainerID: ({ id }) => id,
	Name: ({ name }) => name,
	ContainerName: ({ name }) => `/${name}`,
	ImageID: ({ imageId }) => imageId.replace(/^sha256:/, "").slice(0, 12),
	ImageFullID: ({ imageId }) => imageId,
	ContainerImageID: ({ imageId }) => imageId,
	ImageName: ({ config }) => config.Image,
	ContainerImageName: ({ config }) => config.Image,
	Command: ({ path, args }) => [path, ...args].join(" "),
	DaemonName: () => "docker",
	Hostname: () => hostname(),
};
