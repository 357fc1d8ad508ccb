/**
 * Where and how a process's output is logged: decided by the engine from docker's options, opened by the supervisor, kept in its records
 * (so what is new here is optional). Sizes in bytes.
 */
export interface LogTarget {
	/** Absent: json-file. */
	readonly driver?: "json-file" | "local" | "syslog" | "journald";
	/** The file of json-file and local; "" for the others. */
	readonly path: string;
	/** 0: the file is not rotated. */
	readonly maxSize: number;
	/** Files kept, the current one included. */
	readonly maxFiles: number;
	/** Rotated files are compressed. */
	readonly compress?: boolean;
	/** What each line carries beside its text: labels, variables and tag that the options ask for. */
	readonly attributes?: Readonly<Record<string, string>>;
	/** Output never waits for the log: so much is kept in memory, what is more is lost. */
	readonly bufferBytes?: number;
	/** For a driver that cannot be read: a second, local log for `docker logs`. */
	readonly cache?: Pick<LogTarget, "path" | "maxSize" | "maxFiles" | "compress">;
	readonly syslog?: SyslogTarget;
	/** journald: the fields of every entry. */
	readonly fields?: Readonly<Record<string, string>>;
}

export interface SyslogTarget {
	/** "local" is the first of the host's own sockets that answers. */
	readonly transport: "local" | "unix" | "unixgram" | "udp" | "tcp" | "tcp+tls";
	/** A path, or `host:port`; "" for local. */
	readonly address: string;
	/** Number of the facility: 3 is daemon. */
	readonly facility: number;
	readonly format: "" | "rfc3164" | "rfc5424" | "rfc5424micro";
	readonly tag: string;
	/** Paths of PEM files. */
	readonly tls?: { readonly ca?: string; readonly cert?: string; readonly key?: string; readonly skipVerify: boolean };
}
