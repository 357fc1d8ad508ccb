import { parseTagged, type Reference } from "../../../oci/reference.ts";
import { messageOf } from "../../../shared/errors.ts";
import type { Registry, RegistrySettings } from "../driver.ts";
import { createRegistry } from "../registry.ts";
import type { Timing } from "../timing.ts";
import { fakeTiming } from "./fake-registry.ts";

export function clientOf(timing: Timing = fakeTiming(), settings: Partial<RegistrySettings> = {}): Registry {
	return createRegistry(
		{ insecure: [], mirrors: [], certificates: "/nonexistent", userAgent: "test/1", ...settings },
		timing,
	);
}

export function refOf(domain: string, rest = "team/app:1"): Reference {
	return parseTagged(`${domain}/${rest}`);
}

export async function bytesOf(stream: AsyncIterable<Uint8Array>): Promise<Buffer> {
	const parts: Uint8Array[] = [];
	for await (const part of stream) parts.push(part);
	return Buffer.concat(parts);
}

/** The error's code and text; "no error" when there was none. */
export async function failureText(work: Promise<unknown>): Promise<string> {
	try {
		await work;
		return "no error";
	} catch (error) {
		const code = typeof error === "object" && error !== null ? (error as { code?: unknown }).code : undefined;
		return `${code}: ${messageOf(error)}`;
	}
}
