import { EngineError } from "../../shared/errors.ts";
import type { ImageRecord } from "../images/contract.ts";
import { baseImage } from "./base-image.ts";
import type { Build } from "./build-state.ts";
import type { BuildContext } from "./context.ts";

const IMAGE = "docker-image://";

/** What `--build-context NAME=VALUE` puts in the place of a stage or an image of that name; undefined: nothing. Opened once for the build. */
export async function namedContext(
	build: Build,
	name: string,
): Promise<{ readonly image: ImageRecord } | { readonly context: BuildContext } | undefined> {
	const given = build.request.buildKit?.namedContexts;
	const key = [name, name.replace(/:latest$/, "")].map((one) => one.toLowerCase()).find((one) => given?.has(one));
	const value = key === undefined ? undefined : given?.get(key);
	if (key === undefined || value === undefined) return undefined;
	if (value.startsWith(IMAGE)) return { image: await baseImage(build, value.slice(IMAGE.length), undefined) };
	if (value.startsWith("oci-layout:")) {
		throw new EngineError(
			"unsupported",
			`build context ${key}=${value}: oci-layout is not supported; allowed are docker-image://, directories, git and http(s)`,
		);
	}
	const known = build.named.get(key) ?? build.openNamed(value);
	build.named.set(key, known);
	return { context: await known };
}
