import { EngineError } from "../../shared/errors.ts";
import type { Credentials } from "./driver.ts";
import { api, type Endpoints } from "./endpoints.ts";
import { RegistryFailure, statusText } from "./failure.ts";
import type { Tokens } from "./tokens.ts";
import type { Transport } from "./transport.ts";

/** Tries the credentials on `GET /v2/`. Throws RegistryFailure, and "internal" in dockerd's words when the registry refuses them. */
export async function login(
	parts: { endpoints: Endpoints; tokens: Tokens; transport: Transport },
	credentials: Credentials,
	signal: AbortSignal | undefined,
): Promise<{ status: string; identityToken: string }> {
	const domain = serverDomain(credentials.serverAddress ?? "");
	// "push" leaves the mirrors out
	const identityToken = await parts.endpoints.onEach(domain, "push", signal, async (endpoint) => {
		const url = api(endpoint, "");
		const { challenges } = endpoint;
		const request = { challenges, scopes: [], credentials, offline: true, signal };
		parts.tokens.forget(request);
		const authorization = await parts.tokens.authorize(endpoint, request).catch((error: unknown) => {
			if (!(error instanceof RegistryFailure)) throw error;
			throw new RegistryFailure(`Get "${url}": ${error.message}`, { ...error, cause: error });
		});
		const headers: Record<string, string> = authorization ? { Authorization: authorization.value } : {};
		const { response, watchdog } = await parts.transport.send(endpoint, { method: "GET", url, headers, signal });
		watchdog.end();
		parts.tokens.forget(request);
		if (response.status === 200) return authorization?.identityToken ?? "";
		throw new EngineError("internal", `login attempt to ${url} failed with status: ${statusText(response.status)}`);
	});
	return { status: "Login Succeeded", identityToken };
}

/** `https://index.docker.io/v1/`, `registry:5000` and nothing at all as the domain of image names. */
export function serverDomain(address: string): string {
	const host =
		address
			.replace(/^https?:\/\//, "")
			.split("/")[0]
			?.toLowerCase() ?? "";
	return ["", "docker.io", "index.docker.io", "registry-1.docker.io"].includes(host) ? "docker.io" : host;
}
