import { messageOf } from "../shared/errors.ts";
import type { Logger } from "../shared/log.ts";
import { VERSION } from "../shared/version.ts";
import { notifyService } from "../sys/linux/service-notify.ts";
import type { DaemonOptions } from "./options.ts";

/**
 * Says once that clients may connect: the log line `ready`, which scripts and the lab wait for, and systemd's notification where it started us.
 * Call it when every listener listens and reconcile is done.
 */
export function announceReady(log: Logger, options: DaemonOptions, environment: NodeJS.ProcessEnv = process.env): void {
	notify(log, "READY=1", environment);
	log.info("ready", {
		version: VERSION,
		pid: process.pid,
		instance: options.instance,
		hosts: options.hosts,
		dns: `${options.dns.address}:${options.dns.port}`,
	});
}

/** Tells systemd that a stop was asked for and is under way. */
export function announceStopping(log: Logger, environment: NodeJS.ProcessEnv = process.env): void {
	notify(log, "STOPPING=1", environment);
}

function notify(log: Logger, message: string, environment: NodeJS.ProcessEnv): void {
	const socket = environment.NOTIFY_SOCKET;
	if (!socket) return;
	try {
		notifyService(socket, message);
	} catch (error) {
		log.warn("cannot notify the service manager", { socket, error: messageOf(error) });
	}
}
