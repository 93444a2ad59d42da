/** A network on which all hear each other, in memory. */
import type {
  Multicast,
  OpenMulticast,
  TakeMulticast,
} from "../../peer/carrier/multicast_socket.ts";
import { type Link, linksOf } from "../../peer/links.ts";
import { MAX_ANNOUNCEMENT_BYTES } from "../../protocol/limits.ts";

/** The interfaces of a machine that is at this address of 192.168.1.0/24. */
export function linksAt(address: string): Link[] {
  return linksOf([{ name: "eth0", address, family: "IPv4", cidr: `${address}/24`, scopeid: null }]);
}

export class MulticastNetwork {
  /** Datagrams that have been sent: from where, when, and what. */
  readonly sent: { source: string; bytes: Uint8Array }[] = [];
  readonly #hearers = new Set<TakeMulticast>();

  /** How many are listening. */
  get hearers(): number {
    return this.#hearers.size;
  }

  /** How a machine speaks to it. */
  at(source: string): OpenMulticast {
    return (take) => {
      this.#hearers.add(take);
      const socket: Multicast = {
        join: () => {},
        send: (bytes) => this.send(bytes, source),
        close: () => {
          this.#hearers.delete(take);
          return Promise.resolve();
        },
      };
      return Promise.resolve(socket);
    };
  }

  /** Brings a datagram to all, also to whoever sent it. */
  send(bytes: Uint8Array, source: string): void {
    if (bytes.length > MAX_ANNOUNCEMENT_BYTES) throw new Error(`${bytes.length} bytes were sent`);
    this.sent.push({ source, bytes });
    for (const take of this.#hearers) queueMicrotask(() => take(bytes, source));
  }
}
