import { existsSync } from "node:fs";
import { commandOutput } from "../sys/linux/host-probe.ts";

/** Whether systemd is shutting the machine down: a stop then is not that of the daemon alone, and nothing may outlive it. */
export function machineGoesDown(run = commandOutput, systemd = "/run/systemd/system"): boolean {
	// systemctl is-system-running, which exits with 1 beside the word
	return existsSync(systemd) && run("systemctl", ["show", "--property=SystemState", "--value"])?.trim() === "stopping";
}
