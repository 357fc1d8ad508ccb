import { invalid } from "./errors.ts";

/** ctrl-p, ctrl-q */
const DEFAULT_KEYS = Uint8Array.of(16, 17);

/** The bytes of `ctrl-p,ctrl-q` or `a,ctrl-@`. Undefined or "": docker's default. */
export function parseDetachKeys(text: string | undefined): Uint8Array {
	if (!text) return DEFAULT_KEYS;
	return Uint8Array.from(text.split(",").map((key) => keyCode(key, text)));
}

function keyCode(key: string, whole: string): number {
	if (/^[\x21-\x7e]$/.test(key)) return key.charCodeAt(0);
	const control = /^ctrl-([a-zA-Z@[\\\]^_])$/.exec(key)?.[1];
	if (control) return control.toUpperCase().charCodeAt(0) - 64;
	throw invalid(`Invalid detach keys (${whole}) provided: Unknown character: '${key}'`);
}

/**
 * Watches typed bytes for the detach sequence. A half-typed sequence is held back until it is clear that it is none.
 * `push` returns the bytes to pass on and whether the sequence is complete (what follows it is dropped).
 */
export class DetachScanner {
	private matched = 0;

	constructor(private readonly keys: Uint8Array) {}

	push(input: Uint8Array): { pass: Uint8Array; detached: boolean } {
		const out: number[] = [];
		if (this.matched === 0 && !input.includes(this.keys[0] ?? -1)) return { pass: input, detached: false };
		for (const byte of input) {
			if (byte === this.keys[this.matched]) {
				this.matched++;
				if (this.matched === this.keys.length) return { pass: Uint8Array.from(out), detached: true };
				continue;
			}
			for (let i = 0; i < this.matched; i++) out.push(this.keys[i] ?? 0);
			this.matched = byte === this.keys[0] ? 1 : 0;
			if (this.matched === 0) out.push(byte);
			else if (this.keys.length === 1) return { pass: Uint8Array.from(out), detached: true };
		}
		return { pass: Uint8Array.from(out), detached: false };
	}
}
