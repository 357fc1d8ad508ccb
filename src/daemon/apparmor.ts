import { type AppArmor, defaultProfile } from "../engine/containers/apparmor.ts";
import { messageOf } from "../shared/errors.ts";
import type { Logger } from "../shared/log.ts";
import { loadProfiles, profileIsLoaded, removeProfile } from "../sys/linux/apparmor.ts";

/** Name of the profile of an instance's containers. */
export function profileName(instance: string): string {
	return `foredeck-${instance}`;
}

/**
 * The host's AppArmor with this instance's profile loaded as this version has it; undefined where the host has none. A profile that cannot be
 * loaded is an error of each start that needs it, not of the daemon's.
 */
export async function openAppArmor(profile: string | undefined, log: Logger): Promise<AppArmor | undefined> {
	if (profile === undefined) return undefined;
	const apparmor = { profile, isLoaded: profileIsLoaded, load: () => loadProfiles(defaultProfile(profile)) };
	await apparmor
		.load()
		.catch((error: unknown) => log.error("no AppArmor profile", { profile, error: messageOf(error) }));
	return apparmor;
}

/** With nothing running the profile is not left behind. */
export function closeAppArmor(profile: string | undefined, log: Logger): void {
	if (profile === undefined) return;
	try {
		removeProfile(profile);
	} catch (error) {
		log.warn("AppArmor profile not removed", { profile, error: messageOf(error) });
	}
}
