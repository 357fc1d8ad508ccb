/** A mount's option text (`ro,noexec,size=1m`) apart: flags of mount(2), propagation to set after it, and what the filesystem reads. */
export interface MountOptions {
	readonly flags: number;
	/** MS_SHARED and its like; 0: none asked for. */
	readonly propagation: number;
	readonly data: string;
}

/** Bit, and whether the word clears it. Source: util-linux, mount(8); values of sys/mount.h. */
const FLAGS: Readonly<Record<string, readonly [bit: number, clears: boolean]>> = {
	defaults: [0, false],
	ro: [1, false],
	rw: [1, true],
	nosuid: [2, false],
	suid: [2, true],
	nodev: [4, false],
	dev: [4, true],
	noexec: [8, false],
	exec: [8, true],
	sync: [16, false],
	async: [16, true],
	remount: [32, false],
	mand: [64, false],
	nomand: [64, true],
	dirsync: [128, false],
	noatime: [1024, false],
	atime: [1024, true],
	nodiratime: [2048, false],
	diratime: [2048, true],
	bind: [4096, false],
	rbind: [4096 | 16384, false],
	relatime: [1 << 21, false],
	norelatime: [1 << 21, true],
	strictatime: [1 << 24, false],
	nostrictatime: [1 << 24, true],
};

const REC = 16384;
const PROPAGATIONS: Readonly<Record<string, number>> = {
	unbindable: 1 << 17,
	private: 1 << 18,
	slave: 1 << 19,
	shared: 1 << 20,
	runbindable: (1 << 17) | REC,
	rprivate: (1 << 18) | REC,
	rslave: (1 << 19) | REC,
	rshared: (1 << 20) | REC,
};

/** Words that are no flags are the filesystem's, in their order; of the same flag the last word counts. */
export function parseMountOptions(text: string): MountOptions {
	let flags = 0;
	let propagation = 0;
	const data: string[] = [];
	for (const word of text.split(",").filter(Boolean)) {
		const flag = Object.hasOwn(FLAGS, word) ? FLAGS[word] : undefined;
		if (flag) flags = flag[1] ? flags & ~flag[0] : flags | flag[0];
		else if (Object.hasOwn(PROPAGATIONS, word)) propagation |= PROPAGATIONS[word] ?? 0;
		else data.push(word);
	}
	return { flags, propagation, data: data.join(",") };
}
