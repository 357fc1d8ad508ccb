import { expect, test } from "bun:test";
import { type AppArmor, defaultProfile, ensureProfile, profileOf, specProfile } from "./apparmor.ts";

const host = (SecurityOpt: string[] | null = null, Privileged = false) => ({ SecurityOpt, Privileged });

test("the host's default confines who asks for nothing, and docker's name of it means the same", () => {
	expect(profileOf(host(), "foredeck-fd")).toBe("foredeck-fd");
	expect(profileOf(host(["apparmor=docker-default"]), "foredeck-fd")).toBe("foredeck-fd");
	expect(specProfile(host(["apparmor:mine"]), "foredeck-fd")).toEqual({ apparmorProfile: "mine" });
});

test("privileged and unconfined containers have no profile, and nobody has one on a host without AppArmor", () => {
	expect(profileOf(host(["apparmor=mine"], true), "foredeck-fd")).toBe("unconfined");
	expect(specProfile(host(null, true), "foredeck-fd")).toEqual({});
	expect(specProfile(host(["apparmor=unconfined"]), "foredeck-fd")).toEqual({});
	expect(profileOf(host(["apparmor=mine"]), undefined)).toBeUndefined();
	expect(specProfile(host(["apparmor=mine"]), undefined)).toEqual({});
});

test("before a start the default is loaded where it is gone; another that is not loaded is named", async () => {
	const loaded = new Set(["mine"]);
	let loads = 0;
	const apparmor: AppArmor = {
		profile: "foredeck-fd",
		isLoaded: (name) => loaded.has(name),
		load: async () => {
			loads++;
			loaded.add("foredeck-fd");
		},
	};
	await ensureProfile(apparmor, host(["apparmor=mine"]));
	await ensureProfile(apparmor, host(null, true));
	await ensureProfile(undefined, host(["apparmor=other"]));
	expect(loads).toBe(0);
	await ensureProfile(apparmor, host());
	await ensureProfile(apparmor, host());
	expect(loads).toBe(1);
	await expect(ensureProfile(apparmor, host(["apparmor=other"]))).rejects.toThrow("profile: other is not loaded");
});

test("the default profile forbids mounts and writes outside of what is the process's own", () => {
	const text = defaultProfile("foredeck-x");
	expect(text).toContain("\nprofile foredeck-x flags=(attach_disconnected,mediate_deleted) {\n");
	for (const rule of [
		"deny mount,",
		"deny /proc/* w,",
		"deny /proc/kcore rwklx,",
		"deny /sys/kernel/security/** rwklx,",
	])
		expect(text).toContain(`  ${rule}\n`);
	expect(text).toContain("  signal (send, receive) peer=foredeck-x,\n");
	expect(text).toContain("  signal (receive) peer=unconfined,\n");
	expect(text).toEndWith(",\n}\n");
});
