import type { Shape } from "./shape.ts";

const IPAM: Shape = {
	fields: {
		Driver: "string",
		Config: {
			list: {
				fields: { Subnet: "string", IPRange: "string", Gateway: "string", AuxiliaryAddresses: { map: "string" } },
			},
		},
		Options: { map: "string" },
	},
};

const ENDPOINT = {
	fields: {
		IPAMConfig: { fields: { IPv4Address: "string", IPv6Address: "string", LinkLocalIPs: { list: "string" } } },
		Links: { list: "string" },
		MacAddress: "string",
		Aliases: { list: "string" },
		DriverOpts: { map: "string" },
		GwPriority: "integer",
		NetworkID: "string",
		EndpointID: "string",
		Gateway: "string",
		IPAddress: "string",
		IPPrefixLen: "integer",
		IPv6Gateway: "string",
		GlobalIPv6Address: "string",
		GlobalIPv6PrefixLen: "integer",
		DNSNames: { list: "string" },
	},
} as const satisfies Shape;

/** Of HostConfig; and with RestartPolicy, what `update` takes. */
const RESOURCES = {
	CpuShares: "integer",
	Memory: "integer",
	CgroupParent: "string",
	BlkioWeight: "integer",
	BlkioWeightDevice: { list: { fields: { Path: "string", Weight: "integer" } } },
	BlkioDeviceReadBps: { list: { fields: { Path: "string", Rate: "integer" } } },
	BlkioDeviceWriteBps: { list: { fields: { Path: "string", Rate: "integer" } } },
	BlkioDeviceReadIOps: { list: { fields: { Path: "string", Rate: "integer" } } },
	BlkioDeviceWriteIOps: { list: { fields: { Path: "string", Rate: "integer" } } },
	CpuPeriod: "integer",
	CpuQuota: "integer",
	CpuRealtimePeriod: "integer",
	CpuRealtimeRuntime: "integer",
	CpusetCpus: "string",
	CpusetMems: "string",
	Devices: { list: { fields: { PathOnHost: "string", PathInContainer: "string", CgroupPermissions: "string" } } },
	DeviceCgroupRules: { list: "string" },
	DeviceRequests: {
		list: {
			fields: {
				Driver: "string",
				Count: "integer",
				DeviceIDs: { list: "string" },
				Capabilities: { list: { list: "string" } },
				Options: { map: "string" },
			},
		},
	},
	KernelMemoryTCP: "integer",
	MemoryReservation: "integer",
	MemorySwap: "integer",
	MemorySwappiness: "integer",
	NanoCpus: "integer",
	OomKillDisable: "boolean",
	Init: "boolean",
	PidsLimit: "integer",
	Ulimits: { list: { fields: { Name: "string", Soft: "integer", Hard: "integer" } } },
	CpuCount: "integer",
	CpuPercent: "integer",
	IOMaximumIOps: "integer",
	IOMaximumBandwidth: "integer",
} as const;

const RESTART_POLICY: Shape = {
	fields: { Name: { oneOf: ["", "no", "always", "unless-stopped", "on-failure"] }, MaximumRetryCount: "integer" },
};

const HOST_CONFIG: Shape = {
	fields: {
		...RESOURCES,
		RestartPolicy: RESTART_POLICY,
		Binds: { list: "string" },
		ContainerIDFile: "string",
		LogConfig: {
			fields: {
				Type: {
					oneOf: [
						"local",
						"json-file",
						"syslog",
						"journald",
						"gelf",
						"fluentd",
						"awslogs",
						"splunk",
						"etwlogs",
						"none",
					],
				},
				Config: { map: "string" },
			},
		},
		NetworkMode: "string",
		PortBindings: { map: { list: { fields: { HostIp: "string", HostPort: "string" } } } },
		AutoRemove: "boolean",
		VolumeDriver: "string",
		VolumesFrom: { list: "string" },
		Mounts: {
			list: {
				fields: {
					Target: "string",
					Source: "string",
					Type: { oneOf: ["bind", "volume", "image", "tmpfs", "npipe", "cluster"] },
					ReadOnly: "boolean",
					Consistency: "string",
					BindOptions: {
						fields: {
							Propagation: { oneOf: ["private", "rprivate", "shared", "rshared", "slave", "rslave"] },
							NonRecursive: "boolean",
							CreateMountpoint: "boolean",
							ReadOnlyNonRecursive: "boolean",
							ReadOnlyForceRecursive: "boolean",
						},
					},
					VolumeOptions: {
						fields: {
							NoCopy: "boolean",
							Labels: { map: "string" },
							DriverConfig: { fields: { Name: "string", Options: { map: "string" } } },
							Subpath: "string",
						},
					},
					ImageOptions: { fields: { Subpath: "string" } },
					TmpfsOptions: { fields: { SizeBytes: "integer", Mode: "integer", Options: { list: { list: "string" } } } },
				},
			},
		},
		ConsoleSize: { list: "integer" },
		Annotations: { map: "string" },
		CapAdd: { list: "string" },
		CapDrop: { list: "string" },
		CgroupnsMode: { oneOf: ["private", "host"] },
		Dns: { list: "string" },
		DnsOptions: { list: "string" },
		DnsSearch: { list: "string" },
		ExtraHosts: { list: "string" },
		GroupAdd: { list: "string" },
		IpcMode: "string",
		Cgroup: "string",
		Links: { list: "string" },
		OomScoreAdj: "integer",
		PidMode: "string",
		Privileged: "boolean",
		PublishAllPorts: "boolean",
		ReadonlyRootfs: "boolean",
		SecurityOpt: { list: "string" },
		StorageOpt: { map: "string" },
		Tmpfs: { map: "string" },
		UTSMode: "string",
		UsernsMode: "string",
		ShmSize: "integer",
		Sysctls: { map: "string" },
		Runtime: "string",
		Isolation: { oneOf: ["default", "process", "hyperv", ""] },
		MaskedPaths: { list: "string" },
		ReadonlyPaths: { list: "string" },
	},
};

export const CONFIG = {
	fields: {
		Hostname: "string",
		Domainname: "string",
		User: "string",
		AttachStdin: "boolean",
		AttachStdout: "boolean",
		AttachStderr: "boolean",
		ExposedPorts: { map: { fields: {} } },
		Tty: "boolean",
		OpenStdin: "boolean",
		StdinOnce: "boolean",
		Env: { list: "string" },
		Cmd: { list: "string" },
		Healthcheck: {
			fields: {
				Test: { list: "string" },
				Interval: "integer",
				Timeout: "integer",
				Retries: "integer",
				StartPeriod: "integer",
				StartInterval: "integer",
			},
		},
		ArgsEscaped: "boolean",
		Image: "string",
		Volumes: { map: { fields: {} } },
		WorkingDir: "string",
		Entrypoint: { list: "string" },
		NetworkDisabled: "boolean",
		MacAddress: "string",
		OnBuild: { list: "string" },
		Labels: { map: "string" },
		StopSignal: "string",
		StopTimeout: "integer",
		Shell: { list: "string" },
	},
} as const satisfies Shape;

export const CREATE: Shape = {
	fields: {
		...CONFIG.fields,
		HostConfig: HOST_CONFIG,
		NetworkingConfig: { fields: { EndpointsConfig: { map: ENDPOINT } } },
	},
};

export const UPDATE: Shape = { fields: { ...RESOURCES, RestartPolicy: RESTART_POLICY } };

export const EXEC: Shape = {
	fields: {
		AttachStdin: "boolean",
		AttachStdout: "boolean",
		AttachStderr: "boolean",
		ConsoleSize: { list: "integer" },
		DetachKeys: "string",
		Tty: "boolean",
		Env: { list: "string" },
		Cmd: { list: "string" },
		Privileged: "boolean",
		User: "string",
		WorkingDir: "string",
	},
};

export const EXEC_START: Shape = { fields: { Detach: "boolean", Tty: "boolean", ConsoleSize: { list: "integer" } } };

export const AUTH: Shape = {
	fields: { username: "string", password: "string", email: "string", serveraddress: "string" },
};

export const NETWORK_CREATE: Shape = {
	fields: {
		IPAM,
		Name: "string",
		Driver: "string",
		Scope: "string",
		Internal: "boolean",
		Attachable: "boolean",
		Ingress: "boolean",
		ConfigOnly: "boolean",
		ConfigFrom: { fields: { Network: "string" } },
		EnableIPv4: "boolean",
		EnableIPv6: "boolean",
		Options: { map: "string" },
		Labels: { map: "string" },
	},
};

export const NETWORK_CONNECT: Shape = { fields: { Container: "string", EndpointConfig: ENDPOINT } };

export const NETWORK_DISCONNECT: Shape = { fields: { Container: "string", Force: "boolean" } };

export const VOLUME_CREATE: Shape = {
	fields: {
		Name: "string",
		Driver: "string",
		DriverOpts: { map: "string" },
		Labels: { map: "string" },
		ClusterVolumeSpec: { fields: { Group: "string" } },
	},
};
