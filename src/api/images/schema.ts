/** One row of GET /images/json. Source: Docker Engine API v1.51, ImageSummary. */
export interface ImageSummary {
	readonly Id: string;
	readonly ParentId: string;
	/** null: none, for clients of before 1.43 */
	readonly RepoTags: readonly string[] | null;
	readonly RepoDigests: readonly string[] | null;
	/** For clients of before 1.44. */
	readonly VirtualSize?: number;
	/** seconds */
	readonly Created: number;
	/** bytes */
	readonly Size: number;
	/** -1: not computed */
	readonly SharedSize: number;
	readonly Labels: Readonly<Record<string, string>> | null;
	/** -1: not computed */
	readonly Containers: number;
}

export interface ImageDeleteItem {
	readonly Untagged?: string;
	readonly Deleted?: string;
}

/** One row of GET /images/{name}/history. */
export interface ImageHistoryItem {
	readonly Id: string;
	readonly Created: number;
	readonly CreatedBy: string;
	readonly Tags: readonly string[] | null;
	readonly Size: number;
	readonly Comment: string;
}
