/**
 * The registered UDP clients, and how long each has been silent. Time is passed in.
 *
 *     no Ping yet ──SILENT_MS──▶ one Ping ──SILENT_MS──▶ two Pings ──SILENT_MS──▶ forgotten
 *          ▲                        │                        │
 *          └──────── a datagram ────┴────────────────────────┘
 *
 * Each state is a Map in which they stand in the order in which they were last heard: so the next
 * one that is due is always the first, however many there are.
 */
import type { UdpClient } from "./udp_client.ts";

/** Milliseconds of silence after which a client is sent a Ping, and another, and is forgotten. */
export const SILENT_MS = 20_000;
/** Pings that a silent client is sent. */
const PINGS = 2;

/** A client whose silence was too long: to be sent a Ping, or forgotten. */
export interface Due {
  readonly client: UdpClient;
  readonly forgotten: boolean;
}

export class UdpClients {
  /** By address; the index is how many Pings they have been sent. */
  readonly #silent: readonly Map<string, UdpClient>[] = Array.from(
    { length: PINGS + 1 },
    () => new Map(),
  );

  get size(): number {
    return this.#silent.reduce((sum, { size }) => sum + size, 0);
  }

  /** @param address "1.2.3.4:5678" */
  get(address: string): UdpClient | undefined {
    for (const clients of this.#silent) {
      const client = clients.get(address);
      if (client) return client;
    }
    return undefined;
  }

  /** A datagram came from a client, who may be new here. */
  heard(client: UdpClient, now: number): void {
    this.remove(client);
    client.heard = now;
    this.#put(client, 0);
  }

  /** Without effect on one that is not here. */
  remove(client: UdpClient): void {
    this.#silent[client.pings]!.delete(client.address);
  }

  /**
   * Those whose silence is too long; each is taken for pinged, or is here no more. One is told of
   * once, however long it was, so that who could not be heard while the machine slept is asked first.
   */
  *due(now: number): Generator<Due> {
    for (let pings = PINGS; pings >= 0; pings--) {
      for (const client of this.#silent[pings]!.values()) {
        if (now - client.heard < SILENT_MS * (pings + 1)) break;
        this.remove(client);
        if (pings < PINGS) this.#put(client, pings + 1);
        yield { client, forgotten: pings === PINGS };
      }
    }
  }

  /** All of them; none are here afterwards. */
  *takeAll(): Generator<UdpClient> {
    for (const clients of this.#silent) {
      yield* clients.values();
      clients.clear();
    }
  }

  #put(client: UdpClient, pings: number): void {
    client.pings = pings;
    this.#silent[pings]!.set(client.address, client);
  }
}
