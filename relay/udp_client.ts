import type { Address } from "../protocol/address.ts";
import { formatAddress } from "../protocol/address.ts";
import { MAX_DATAGRAM_BYTES } from "../protocol/limits.ts";
import type { Datagrams } from "./host.ts";
import type { Holder } from "./names.ts";
import { sourceOf } from "./source.ts";

/**
 * Who a datagram came from: known by the address alone, which anybody can write down. A hundred
 * thousand of these are held at once: they have no more fields than they need.
 */
export class UdpClient implements Holder {
  readonly kind = "udp";
  /** What is in the table under: "1.2.3.4:5678". */
  readonly address: string;
  readonly ip: string;
  readonly port: number;
  readonly source: string;
  readonly socket: Datagrams;
  readonly #replaced: (client: UdpClient) => void;
  name: string | undefined = undefined;
  /** The address of whom it was introduced to, until it says that it is done. */
  partner: string | undefined = undefined;
  /** Bytes that came from it and were not spent on what was sent to it. */
  credit = 0;
  /** When a datagram last came from it. */
  heard = 0;
  /** How many Pings it has been sent since. */
  pings = 0;

  /** @param replaced called when its name has gone to another */
  constructor(from: Address, socket: Datagrams, replaced: (client: UdpClient) => void) {
    this.address = formatAddress(from);
    this.ip = from.host;
    this.port = from.port;
    this.source = sourceOf(from.host);
    this.socket = socket;
    this.#replaced = replaced;
  }

  /** Counts what came from it. */
  pays(bytes: number): void {
    this.credit = Math.min(MAX_DATAGRAM_BYTES, this.credit + bytes);
  }

  replaced(): void {
    this.#replaced(this);
  }
}
