/** A line for datagrams between two ports, on which a test decides what is lost. */
import type { Address } from "../../protocol/address.ts";

export interface UdpProxyOptions {
  /** Where what comes from the dialler goes. */
  target: Address;
  /** The address of this machine that the target is to see. Default: 127.0.0.1. */
  from?: string;
  /** Whether a datagram is lost; `index` counts those of its direction. Default: none is. */
  loses?: (direction: "there" | "back", index: number) => boolean;
}

export class UdpProxy implements AsyncDisposable {
  /** Datagrams that have come so far, lost ones included. */
  readonly counts = { there: 0, back: 0 };
  loses: (direction: "there" | "back", index: number) => boolean;
  readonly #front = open("127.0.0.1");
  readonly #back: Deno.DatagramConn;
  readonly #target: Address;
  #dialler: Deno.NetAddr | undefined;
  readonly #work: Promise<void>[];

  constructor({ target, from = "127.0.0.1", loses = () => false }: UdpProxyOptions) {
    this.loses = loses;
    this.#target = target;
    this.#back = open(from);
    this.#work = [this.#forward("there"), this.#forward("back")];
  }

  /** Where the dialler sends to. */
  get near(): Address {
    return addressOf(this.#front);
  }

  /** Where the target sees the dialler. */
  get far(): Address {
    return addressOf(this.#back);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#front.close();
    this.#back.close();
    await Promise.all(this.#work);
  }

  async #forward(direction: "there" | "back"): Promise<void> {
    const [from, to] = direction === "there"
      ? [this.#front, this.#back]
      : [this.#back, this.#front];
    try {
      for await (const [bytes, sender] of from) {
        if (direction === "there") this.#dialler = sender as Deno.NetAddr;
        if (this.loses(direction, this.counts[direction]++)) continue;
        const { host, port } = this.#target;
        const there: Deno.NetAddr = { transport: "udp", hostname: host, port };
        await to.send(bytes, direction === "there" ? there : this.#dialler!);
      }
    } catch {
      // Closed.
    }
  }
}

function open(hostname: string): Deno.DatagramConn {
  return Deno.listenDatagram({ transport: "udp", hostname, port: 0 });
}

function addressOf(socket: Deno.DatagramConn): Address {
  const { hostname, port } = socket.addr as Deno.NetAddr;
  return { host: hostname, port };
}

/**
 * A UDP port that nobody has on any of this machine's addresses, where QUIC takes it: one that is
 * free at ::1 alone may be taken at 0.0.0.0, and so at :: as well.
 */
export function freeUdpPort(hostname = "127.0.0.1"): number {
  const socket = open(hostname.includes(":") ? "::" : "0.0.0.0");
  socket.close();
  return addressOf(socket).port;
}
