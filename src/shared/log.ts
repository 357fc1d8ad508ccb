/** JSON lines on stderr: constant message, data in fields. */
export type LogLevel = "debug" | "info" | "warn" | "error";

export const LOG_LEVELS: readonly LogLevel[] = ["debug", "info", "warn", "error"];

export type LogFields = Record<string, unknown>;

export interface Logger {
	debug(message: string, fields?: LogFields): void;
	info(message: string, fields?: LogFields): void;
	warn(message: string, fields?: LogFields): void;
	error(message: string, fields?: LogFields): void;
	/** A logger that adds these fields to every line. */
	with(fields: LogFields): Logger;
}

/** Writes lines at or above `level` through `write` (default: stderr). */
export function createLogger(
	level: LogLevel,
	fields: LogFields = {},
	write: (line: string) => void = (line) => void process.stderr.write(line),
): Logger {
	const threshold = LOG_LEVELS.indexOf(level);
	const emit = (at: LogLevel) => (message: string, extra?: LogFields) => {
		if (LOG_LEVELS.indexOf(at) < threshold) return;
		const line = { time: new Date().toISOString(), level: at, msg: message, ...fields, ...extra };
		write(`${JSON.stringify(line, plain)}\n`);
	};
	return {
		debug: emit("debug"),
		info: emit("info"),
		warn: emit("warn"),
		error: emit("error"),
		with: (more) => createLogger(level, { ...fields, ...more }, write),
	};
}

/** A logger for tests and for callers that want silence. */
export const silentLogger: Logger = createLogger("error", {}, () => {});

function plain(_key: string, value: unknown): unknown {
	if (value instanceof Error) return value.message;
	return typeof value === "bigint" ? value.toString() : value;
}
