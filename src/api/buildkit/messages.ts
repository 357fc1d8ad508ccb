/**
 * The messages of BuildKit's services, with the fields that are read or written here. Numbers are those of moby/buildkit's
 * api/services/control, frontend/gateway/pb, session/* and of tonistiigi/fsutil's types.
 */
import { boolean, bytes, field, integer, long, map, message, nested, optional, repeated, string } from "./protobuf.ts";

export const nothing = message({});
export const timestamp = message({ seconds: field(1, integer), nanos: field(2, integer) });
const any = message({ typeUrl: field(1, string), value: field(2, bytes) });
/** google.rpc.Status, also the header grpc-status-details-bin. */
export const status = message({
	code: field(1, integer),
	message: field(2, string),
	details: repeated(3, nested(any)),
});

const platform = message({
	Architecture: field(1, string),
	OS: field(2, string),
	Variant: field(3, string),
});
const gcPolicy = message({
	all: field(1, boolean),
	keepDuration: field(2, integer),
	reservedSpace: field(3, integer),
	filters: repeated(4, string),
});
const version = message({ package: field(1, string), version: field(2, string), revision: field(3, string) });
const worker = message({
	ID: field(1, string),
	Labels: map(2, string),
	platforms: repeated(3, nested(platform)),
	GCPolicy: repeated(4, nested(gcPolicy)),
	BuildkitVersion: optional(5, version),
});

export const listWorkersResponse = message({ record: repeated(1, nested(worker)) });
export const infoResponse = message({ buildkitVersion: optional(1, version) });

/** pb.Definition: operations of a raw build, each a serialized message. */
export const definition = message({ def: repeated(1, bytes), metadata: map(2, nested(nothing)) });
const entry = message({ Type: field(1, string), Attrs: map(2, string) });
const cacheOptions = message({ Exports: repeated(4, nested(entry)), Imports: repeated(5, nested(entry)) });

export const solveRequest = message({
	Ref: field(1, string),
	Definition: optional(2, definition),
	ExporterDeprecated: field(3, string),
	ExporterAttrsDeprecated: map(4, string),
	Session: field(5, string),
	Frontend: field(6, string),
	FrontendAttrs: map(7, string),
	Cache: optional(8, cacheOptions),
	Entitlements: repeated(9, string),
	FrontendInputs: map(10, nested(definition)),
	Internal: field(11, boolean),
	Exporters: repeated(13, nested(entry)),
});
export const solveResponse = message({ ExporterResponse: map(1, string) });

const vertex = message({
	digest: field(1, string),
	inputs: repeated(2, string),
	name: field(3, string),
	cached: field(4, boolean),
	started: optional(5, timestamp),
	completed: optional(6, timestamp),
	error: field(7, string),
});
const vertexStatus = message({
	ID: field(1, string),
	vertex: field(2, string),
	name: field(3, string),
	current: field(4, integer),
	total: field(5, integer),
	timestamp: optional(6, timestamp),
	started: optional(7, timestamp),
	completed: optional(8, timestamp),
});
const vertexLog = message({
	vertex: field(1, string),
	timestamp: optional(2, timestamp),
	stream: field(3, integer),
	msg: field(4, bytes),
});
const position = message({ line: field(1, integer), character: field(2, integer) });
const range = message({ start: optional(1, position), end: optional(2, position) });
const sourceInfo = message({
	filename: field(1, string),
	data: field(2, bytes),
	language: field(4, string),
});
const vertexWarning = message({
	vertex: field(1, string),
	level: field(2, integer),
	short: field(3, bytes),
	detail: repeated(4, bytes),
	url: field(5, string),
	info: optional(6, sourceInfo),
	ranges: repeated(7, nested(range)),
});

export const statusRequest = message({ Ref: field(1, string) });
export const statusResponse = message({
	vertexes: repeated(1, nested(vertex)),
	statuses: repeated(2, nested(vertexStatus)),
	logs: repeated(3, nested(vertexLog)),
	warnings: repeated(4, nested(vertexWarning)),
});

export const usageRecord = message({
	ID: field(1, string),
	Mutable: field(2, boolean),
	InUse: field(3, boolean),
	Size: field(4, integer),
	CreatedAt: optional(6, timestamp),
	LastUsedAt: optional(7, timestamp),
	UsageCount: field(8, integer),
	Description: field(9, string),
	RecordType: field(10, string),
});
export const diskUsageRequest = message({ filter: repeated(1, string) });
export const diskUsageResponse = message({ record: repeated(1, nested(usageRecord)) });
export const pruneRequest = message({
	filter: repeated(1, string),
	all: field(2, boolean),
	/** Nanoseconds. */
	keepDuration: field(3, long),
	reservedSpace: field(4, long),
});

const cap = message({ ID: field(1, string), Enabled: field(2, boolean) });
export const pong = message({
	FrontendAPICaps: repeated(1, nested(cap)),
	LLBCaps: repeated(2, nested(cap)),
	Workers: repeated(3, nested(worker)),
});

const ref = message({ id: field(1, string), def: optional(2, definition) });
const refMap = message({ refs: map(1, nested(ref)) });
const result = message({
	refDeprecated: field(1, string),
	ref: optional(3, ref),
	refs: optional(4, refMap),
	metadata: map(10, bytes),
});
export const returnRequest = message({ result: optional(1, result), error: optional(2, status) });
export const gatewaySolveRequest = message({
	Definition: optional(1, definition),
	Frontend: field(2, string),
	FrontendOpt: map(3, string),
	CacheImports: repeated(12, nested(entry)),
	FrontendInputs: map(13, nested(definition)),
	Evaluate: field(14, boolean),
});
export const gatewaySolveResponse = message({ ref: field(1, string), result: optional(3, result) });
export const refRequest = message({ Ref: field(1, string) });
export const resolveImageRequest = message({ Ref: field(1, string), Platform: optional(2, platform) });
export const resolveImageResponse = message({
	Digest: field(1, string),
	Config: field(2, bytes),
	Ref: field(3, string),
});

export const stat = message({
	path: field(1, string),
	mode: field(2, integer),
	uid: field(3, integer),
	gid: field(4, integer),
	size: field(5, integer),
	modTime: field(6, long),
	linkname: field(7, string),
	devmajor: field(8, integer),
	devminor: field(9, integer),
	xattrs: map(10, bytes),
});
export const PACKET = { stat: 0, request: 1, data: 2, fin: 3, error: 4 } as const;
export const packet = message({
	type: field(1, integer),
	stat: optional(2, stat),
	ID: field(3, integer),
	data: field(4, bytes),
});

/** filesync, upload and sshforward have one each, all alike. */
export const bytesMessage = message({ data: field(1, bytes) });
export const secretRequest = message({ ID: field(1, string) });
export const secretResponse = message({ data: field(1, bytes) });
export const credentialsRequest = message({ Host: field(1, string) });
export const credentialsResponse = message({ Username: field(1, string), Secret: field(2, string) });
export const checkAgentRequest = message({ ID: field(1, string) });
export const historyEvent = message({
	type: field(1, integer),
	record: optional(
		2,
		message({
			Ref: field(1, string),
			Frontend: field(2, string),
			FrontendAttrs: map(3, string),
			Exporters: repeated(4, nested(entry)),
			error: optional(5, status),
			CreatedAt: optional(6, timestamp),
			CompletedAt: optional(7, timestamp),
			ExporterResponse: map(9, string),
			Generation: field(12, integer),
			numCachedSteps: field(15, integer),
			numTotalSteps: field(16, integer),
			numCompletedSteps: field(17, integer),
			numWarnings: field(19, integer),
		}),
	),
});
export const updateHistoryRequest = message({
	Ref: field(1, string),
	Pinned: field(2, boolean),
	Delete: field(3, boolean),
	Finalize: field(4, boolean),
});
export const historyRequest = message({
	ActiveOnly: field(1, boolean),
	Ref: field(2, string),
	EarlyExit: field(3, boolean),
	Filter: repeated(4, string),
	Limit: field(5, integer),
});
