/** Linux signal numbers by name without "SIG" (x86 and arm64 agree). Source: signal(7). */
export const SIGNALS: Readonly<Record<string, number>> = {
	HUP: 1,
	INT: 2,
	QUIT: 3,
	ILL: 4,
	TRAP: 5,
	ABRT: 6,
	IOT: 6,
	BUS: 7,
	FPE: 8,
	KILL: 9,
	USR1: 10,
	SEGV: 11,
	USR2: 12,
	PIPE: 13,
	ALRM: 14,
	TERM: 15,
	STKFLT: 16,
	CHLD: 17,
	CLD: 17,
	CONT: 18,
	STOP: 19,
	TSTP: 20,
	TTIN: 21,
	TTOU: 22,
	URG: 23,
	XCPU: 24,
	XFSZ: 25,
	VTALRM: 26,
	PROF: 27,
	WINCH: 28,
	IO: 29,
	POLL: 29,
	PWR: 30,
	SYS: 31,
};

const RTMIN = 34;
const RTMAX = 64;

/**
 * The number of a signal in any form docker takes: `9`, `KILL`, `SIGKILL`, `sigkill`, `RTMIN+3`, `SIGRTMAX-1`. Undefined when it is none of
 * them (0 is none: docker refuses it).
 */
export function parseSignal(text: string): number | undefined {
	if (/^\d+$/.test(text)) {
		const number = Number(text);
		return number >= 1 && number <= RTMAX ? number : undefined;
	}
	const name = text.toUpperCase().replace(/^SIG/, "");
	if (Object.hasOwn(SIGNALS, name)) return SIGNALS[name];
	const realtime = /^RT(MIN|MAX)(?:([+-])(\d{1,2}))?$/.exec(name);
	if (!realtime) return undefined;
	const offset = Number(realtime[3] ?? 0) * (realtime[2] === "-" ? -1 : 1);
	const number = (realtime[1] === "MIN" ? RTMIN : RTMAX) + offset;
	return number >= RTMIN && number <= RTMAX ? number : undefined;
}

/** `SIGTERM` for 15; `SIGRTMIN+3` for 37; the number itself when it has no name. */
export function signalName(number: number): string {
	const known = Object.entries(SIGNALS).find(([, value]) => value === number);
	if (known) return `SIG${known[0]}`;
	return number >= RTMIN && number <= RTMAX ? `SIGRTMIN+${number - RTMIN}` : String(number);
}
