import { EngineError } from "../../shared/errors.ts";
import type { SyslogTarget } from "../../shared/log-target.ts";

type Options = Readonly<Record<string, string>>;

const invalid = (message: string) => new EngineError("invalid", message);

const FORMATS = ["", "rfc3164", "rfc5424", "rfc5424micro"] as const;
const TRANSPORTS = ["unix", "unixgram", "udp", "tcp", "tcp+tls"] as const;
const DEFAULT_PORT = 514;
const DAEMON = 3;
/** By their number. */
const FACILITIES =
	"kern user mail daemon auth syslog lpr news uucp cron authpriv ftp _ _ _ _ local0 local1 local2 local3 local4 local5 local6 local7".split(
		" ",
	);

/** What syslog's options mean; "invalid" in docker's words. */
export function syslogTarget(options: Options, tag: string): SyslogTarget {
	const format = FORMATS.find((one) => one === (options["syslog-format"] ?? ""));
	if (format === undefined) throw invalid("Invalid syslog format");
	const { transport, address } = addressOf(options["syslog-address"] ?? "");
	const tls = {
		ca: options["syslog-tls-ca-cert"],
		cert: options["syslog-tls-cert"],
		key: options["syslog-tls-key"],
		// docker takes any value for yes
		skipVerify: options["syslog-tls-skip-verify"] !== undefined,
	};
	const facility = facilityOf(options["syslog-facility"] ?? "");
	return { transport, address, facility, format, tag, ...(transport === "tcp+tls" && { tls }) };
}

function facilityOf(text: string): number {
	if (text === "") return DAEMON;
	const number = /^\d+$/.test(text) ? Number(text) : text === "_" ? -1 : FACILITIES.indexOf(text);
	if (number < 0 || number > 23) throw invalid("invalid syslog facility");
	return number;
}

function addressOf(text: string): Pick<SyslogTarget, "transport" | "address"> {
	if (text === "") return { transport: "local", address: "" };
	const [, scheme = "", rest = ""] = /^(?:([a-z+]*):\/\/)?(.*)$/.exec(text) ?? [];
	const transport = TRANSPORTS.find((one) => one === scheme);
	if (transport === undefined) throw invalid(`unsupported scheme: '${scheme}'`);
	if (transport.startsWith("unix")) {
		if (!rest.startsWith("/")) throw invalid(`invalid syslog-address: ${text}: the path of a socket must be absolute`);
		return { transport, address: rest };
	}
	const [, host = "", port = DEFAULT_PORT] = /^(\[[^\]]+\]|[^:/[\]]+)(?::(\d{1,5}))?$/.exec(rest) ?? [];
	if (host === "" || Number(port) > 65535)
		throw invalid(`invalid syslog-address: ${text}: it must be SCHEME://HOST[:PORT]`);
	return { transport, address: `${host}:${port}` };
}
