import { EngineError } from "../../shared/errors.ts";
import type { AddressBook } from "./driver.ts";

/** Several pools of one family as one book: addresses come from the first that has any left, as docker's do. The first is the network's main one. */
export class SeveralPools<Address, Subnet> implements AddressBook<Address, Subnet> {
	readonly subnet: Subnet;
	readonly gateway: Address;
	readonly subnets: readonly Subnet[];

	constructor(
		private readonly first: AddressBook<Address, Subnet>,
		private readonly more: readonly AddressBook<Address, Subnet>[],
	) {
		this.subnet = first.subnet;
		this.gateway = first.gateway;
		this.subnets = this.all.flatMap(({ subnets }) => subnets);
	}

	/** Throws what the last one does when all are full. */
	allocate(): Address {
		for (const book of this.all.slice(0, -1)) {
			try {
				return book.allocate();
			} catch (error) {
				if (!(error instanceof EngineError) || error.code !== "unavailable") throw error;
			}
		}
		return (this.all.at(-1) ?? this.first).allocate();
	}

	take(address: Address): boolean {
		return this.all.find((book) => book.holds(address))?.take(address) ?? false;
	}

	release(address: Address): boolean {
		return this.all.find((book) => book.holds(address))?.release(address) ?? false;
	}

	get count(): number {
		return this.all.reduce((sum, book) => sum + book.count, 0);
	}

	holds(address: Address): boolean {
		return this.all.some((book) => book.holds(address));
	}

	poolOf(address: Address): { readonly subnet: Subnet; readonly gateway: Address } {
		return (this.all.find((book) => book.holds(address)) ?? this.first).poolOf(address);
	}

	private get all(): AddressBook<Address, Subnet>[] {
		return [this.first, ...this.more];
	}
}
