import type { LogLevel } from "../shared/log.ts";

/** The daemon's settings after defaults, config file and flags. */
export interface DaemonOptions {
	readonly dataRoot: string;
	readonly runRoot: string;
	/** unix:///path or tcp://host:port */
	readonly hosts: readonly string[];
	/** Paths of PEM files: tcp hosts then speak TLS and ask for a certificate that `ca` has signed. */
	readonly tls?: { readonly ca: string; readonly cert: string; readonly key: string };
	readonly instance: string;
	readonly logLevel: LogLevel;
	/** fd.local */
	readonly domain: string;
	/** host resolver, 127.0.0.153:53 */
	readonly dns: { readonly address: string; readonly port: number };
	/** base=10.10.0.0/16,size=24: where networks' subnets come from; empty: docker's defaults */
	readonly defaultAddressPools: readonly string[];
	/** What `--add-host NAME:host-gateway` stands for, one address of each family at most; empty: the host's on the predefined network */
	readonly hostGateways: readonly string[];
	readonly insecureRegistries: readonly string[];
	/** https://mirror.example[:port], asked before docker.io */
	readonly registryMirrors: readonly string[];
	/** /etc/docker/certs.d: private CAs and client certificates by registry */
	readonly registryCertificates: string;
	/** Beside crun and runc, or in their place. */
	readonly runtimes: readonly ConfiguredRuntime[];
	/** Of containers that name none; undefined: crun where it is installed, else runc */
	readonly defaultRuntime?: string;
	/** bytes that one layer's tar may have, uncompressed */
	readonly maxLayerBytes: number;
}

/** An OCI runtime of the settings. */
export interface ConfiguredRuntime {
	readonly name: string;
	/** Absolute, or a name to look for in PATH. */
	readonly path: string;
	/** Come before those of every call. */
	readonly args: readonly string[];
}
