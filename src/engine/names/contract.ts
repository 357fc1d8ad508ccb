/** Names as the resolver sees them. All lower-case, without the trailing dot. */
export interface NameDirectory {
	/** Containers visible from the sandbox of `containerId` under a bare name, short id or alias: its addresses; undefined when there is no such name. */
	fromSandbox(containerId: string | undefined, name: string): readonly string[] | undefined;
	/** `<container>.<domain>` asked from the host: name without the domain. */
	fromHost(label: string): readonly string[] | undefined;
	/** For PTR: a name for this address. */
	nameOf(address: string, containerId?: string): string | undefined;
}
