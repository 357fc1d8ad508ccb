/** Which containers refer to which volumes. */
export class VolumeReferences {
	private readonly byName = new Map<string, Set<string>>();

	add(name: string, containerId: string): void {
		const found = this.byName.get(name);
		if (found) found.add(containerId);
		else this.byName.set(name, new Set([containerId]));
	}

	drop(name: string, containerId: string): void {
		const found = this.byName.get(name);
		found?.delete(containerId);
		if (found?.size === 0) this.byName.delete(name);
	}

	dropAll(containerId: string): void {
		for (const name of [...this.byName.keys()]) this.drop(name, containerId);
	}

	of(name: string): readonly string[] {
		return [...(this.byName.get(name) ?? [])];
	}
}
