/** A STUN server on two ports of loopback that tells whatever mapping a test wants. */
import type { Address } from "../../protocol/address.ts";
import { decodeStunRequest, encodeStunAnswer } from "../../protocol/stun.ts";

/** Where a socket is said to be seen by one of the two ports, or undefined: no answer. */
export type Sees = (from: Address, port: "first" | "second") => Address | undefined;

export class StunServer implements Disposable {
  /** Requests that have come. */
  asked = 0;
  /** Answers that are on their way. */
  answered = 0;
  readonly #sockets: Deno.DatagramConn[];

  constructor(readonly sees: Sees) {
    this.#sockets = [open(), open()];
    this.#serve(0);
    this.#serve(1);
  }

  /** Its first port. */
  get address(): Address {
    return addressOf(this.#sockets[0]!);
  }

  [Symbol.dispose](): void {
    for (const socket of this.#sockets) socket.close();
  }

  async #serve(index: 0 | 1): Promise<void> {
    const socket = this.#sockets[index]!;
    const other = addressOf(this.#sockets[1 - index]!);
    for await (const [bytes, from] of socket) {
      this.asked++;
      const { hostname: host, port } = from as Deno.NetAddr;
      const seen = this.sees({ host, port }, index === 0 ? "first" : "second");
      const answer = seen && encodeStunAnswer(decodeStunRequest(bytes), seen, other);
      if (!answer) continue;
      await socket.send(answer, from);
      this.answered++;
    }
  }
}

function open(): Deno.DatagramConn {
  return Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });
}

function addressOf(socket: Deno.DatagramConn): Address {
  const { hostname: host, port } = socket.addr as Deno.NetAddr;
  return { host, port };
}
