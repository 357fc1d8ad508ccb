import { CString, dlopen, type Pointer, ptr } from "bun:ffi";
import { closeSync, openSync } from "node:fs";
import { cstring } from "./libc.ts";

type Library = ReturnType<typeof load>;
type Address = NonNullable<ReturnType<Library["nft_ctx_new"]>>;
let library: Library | undefined;

/** One libnftables context. Its netlink socket is in the namespace it was made in and stays there. */
export class Nftables implements Disposable {
	private readonly context: Address;

	constructor() {
		library ??= load();
		assertFdsLeft();
		const context = library.nft_ctx_new(0);
		if (context === null) throw new Error("cannot open libnftables: no context");
		this.context = context;
		library.nft_ctx_buffer_error(context);
		library.nft_ctx_buffer_output(context);
	}

	/** `nft -f -`: all of the text in one transaction. Returns what it prints. Throws nft's own words, with nothing changed. */
	run(text: string): string {
		const nft = library ?? load();
		const command = cstring(text);
		const failed = nft.nft_run_cmd_from_buffer(this.context, ptr(command)) !== 0;
		const output = textAt(nft.nft_ctx_get_output_buffer(this.context));
		const problem = textAt(nft.nft_ctx_get_error_buffer(this.context));
		if (failed) throw new Error(`cannot apply nftables ruleset: ${problem.trim()}`);
		return output;
	}

	[Symbol.dispose](): void {
		library?.nft_ctx_free(this.context);
	}
}

/** Where no fd is left libnftables ends the process: this throws EMFILE in its place. */
function assertFdsLeft(): void {
	const opened: number[] = [];
	try {
		while (opened.length < NEEDED_FDS) opened.push(openSync("/dev/null", "r"));
	} finally {
		opened.forEach(closeSync);
	}
}

const NEEDED_FDS = 4;

function textAt(address: Address | null): string {
	return address === null ? "" : new CString(Number(address) as Pointer).toString();
}

function load() {
	return dlopen("libnftables.so.1", {
		nft_ctx_new: { args: ["u32"], returns: "ptr" },
		nft_ctx_free: { args: ["ptr"], returns: "void" },
		nft_ctx_buffer_error: { args: ["ptr"], returns: "i32" },
		nft_ctx_buffer_output: { args: ["ptr"], returns: "i32" },
		nft_ctx_get_error_buffer: { args: ["ptr"], returns: "ptr" },
		nft_ctx_get_output_buffer: { args: ["ptr"], returns: "ptr" },
		nft_run_cmd_from_buffer: { args: ["ptr", "ptr"], returns: "i32" },
	}).symbols;
}
