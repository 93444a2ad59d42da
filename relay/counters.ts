/** What a relay counts of itself: plain numbers, which all its parts keep and `/metrics` shows. */
import { type Refusal, REFUSALS } from "../protocol/rendezvous.ts";
import type { HolderKind } from "./names.ts";

export interface Counters {
  /** Names now, by the carrier that they were registered over. */
  readonly registrations: Record<HolderKind, number>;
  /** TCP connections now. */
  connections: number;
  /** TCP connections that were taken, ever. */
  connectionsTotal: number;
  /** TCP connections that this relay can have at once: the descriptors are counted in it. */
  maxConnections: number;
  /** Circuits now: the joined ones. */
  circuits: number;
  /** Circuits that were joined, ever. */
  circuitsTotal: number;
  /** Bytes that circuits have carried, both ways. */
  circuitBytes: number;
  /** Pairs of peers that were told of each other, over all carriers. */
  introductions: number;
  /** What was refused, by reason. */
  readonly refusals: Record<Refusal, number>;
}

/** Counters of a relay that has not begun. */
export function newCounters(): Counters {
  const refusals = Object.fromEntries(REFUSALS.map((reason) => [reason, 0]));
  return {
    registrations: { control: 0, udp: 0, websocket: 0 },
    connections: 0,
    connectionsTotal: 0,
    maxConnections: 0,
    circuits: 0,
    circuitsTotal: 0,
    circuitBytes: 0,
    introductions: 0,
    refusals: refusals as Record<Refusal, number>,
  };
}
