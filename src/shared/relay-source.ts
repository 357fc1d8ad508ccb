/**
 * The address by which the relay of published ports (see drivers/network/relay) reaches a container for a client that is not of this machine: what it
 * speaks for is not the machine, and rules can tell. Of 127/8, so that nobody else has it; any of it is there without being set up.
 */
export const RELAY_SOURCE = "127.70.68.1";
