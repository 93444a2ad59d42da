/**
 * Where one side's NAT takes another port for each peer, the two find each other by chance: it
 * probes from many sockets, the other side probes many ports (README.md, section 12). This tells
 * from where to where the next guess goes.
 */
import type { Address } from "./address.ts";
import { SPREAD_SOCKETS } from "./limits.ts";

export interface Guess {
  readonly socket: number;
  readonly to: Address;
}

/** The first of the sockets that are opened for guesses; those below are the base sockets. */
export const FIRST_FURTHER_SOCKET = 2;
/** Ports below are not a NAT's to give. */
const FIRST_PORT = 1_024;
const PORTS = 65_536 - FIRST_PORT;

/** One guess from each of many sockets of ours. */
export function* spread(to: Address): Generator<Guess, undefined> {
  for (let count = 0; count < SPREAD_SOCKETS; count++) {
    yield { socket: FIRST_FURTHER_SOCKET + count, to };
  }
}

/**
 * Guesses at ports of an address, in no order that can be foreseen and none twice.
 * @param random fills an array with random bytes
 */
export function* spray(
  socket: number,
  host: string,
  random: (bytes: Uint8Array) => void,
): Generator<Guess, undefined> {
  const tried = new Set<number>();
  const drawn = new Uint8Array(4);
  const view = new DataView(drawn.buffer);
  while (tried.size < PORTS) {
    random(drawn);
    let at = view.getUint32(0) % PORTS;
    while (tried.has(at)) at = (at + 1) % PORTS;
    tried.add(at);
    yield { socket, to: { host, port: FIRST_PORT + at } };
  }
}
