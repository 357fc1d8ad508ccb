import type { SpecMount } from "../../oci/runtime-spec.ts";

/** One mount of a start, its source ready. */
export interface AskedMount {
	readonly type: "bind" | "tmpfs";
	readonly source: string;
	readonly target: string;
	readonly options: readonly string[];
	/** Of binds: what the container's root has to let through; "" else. */
	readonly propagation: string;
}

export function specMount({ target, type, source, options }: AskedMount): SpecMount {
	return { destination: target, type, source, options: [...options] };
}

/** Outer targets before inner ones, so that /a does not hide /a/b; of the same depth in the order given. */
export function outerFirst(mounts: readonly SpecMount[]): SpecMount[] {
	return byDepth(mounts, ({ destination }) => destination);
}

/** The same for anything that has a target. */
export function byDepth<T>(mounts: readonly T[], target: (mount: T) => string): T[] {
	const depth = (mount: T) => target(mount).split("/").length;
	return mounts.toSorted((a, b) => depth(a) - depth(b));
}
