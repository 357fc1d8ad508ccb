/** Names as the resolver sees them. All lower-case, without the trailing dot. */
export interface NameDirectory {
	/** Containers on a network of `containerId` under a bare name, short id or alias, or one of these and the network's name: their addresses there; undefined when there is no such name. */
	fromSandbox(containerId: string | undefined, name: string): readonly string[] | undefined;
	/** `<container>.<domain>` and `<service>.<project>.<domain>` asked from the host: name without the domain. */
	fromHost(label: string): readonly string[] | undefined;
	/** Whether a sandbox may know the names that the host knows: not one that is on outbound networks alone. */
	mayAskHost(containerId: string | undefined): boolean;
	/** For PTR: a name for this address; to a sandbox only of addresses on its networks. */
	nameOf(address: string, containerId?: string): string | undefined;
	/** Whether a sandbox's questions that nobody here answers may leave: not from one that is on internal networks alone. */
	mayAskOutside(containerId: string | undefined): boolean;
}
