/** The command line or the config file is wrong: the message names the value and what is allowed. The process exits with 2. */
export class UsageError extends Error {
	override readonly name = "UsageError";
}
