/**
 * What a relay does over UDP (protocol/README.md, section 10): it keeps the names of Peer-Punch's
 * clients and introduces them, and tells whoever asks in STUN the address that they are seen at. STUN
 * alone is answered on a second port, too: by what each of them sees a client learns how its NAT
 * maps.
 *
 * Nothing here is proven: the sender's address may be forged. So nobody is ever sent more than came
 * from their address and an allowance, and all tables are bounded.
 */
import { type Address, formatAddress, isUnspecified } from "../protocol/address.ts";
import { ProtocolError } from "../protocol/errors.ts";
import { MAX_DATAGRAM_BYTES } from "../protocol/limits.ts";
import {
  decodeRendezvous,
  encodeRendezvous,
  type RendezvousMessage,
} from "../protocol/rendezvous.ts";
import { decodeStunRequest, encodeStunAnswer } from "../protocol/stun.ts";
import { Allowance } from "./allowance.ts";
import type { RelayContext } from "./context.ts";
import type { DatagramPair, Datagrams } from "./host.ts";
import { Rates } from "./rates.ts";
import { UdpClient } from "./udp_client.ts";
import { UdpClients } from "./udp_clients.ts";

/** Milliseconds between two looks for clients who have been silent for too long. */
const SWEEP_MS = 1_000;
/** A first byte up to this is STUN's, which JSON never begins with. */
const LAST_STUN_BYTE = 0x01;

/** A socket, and the one on the relay's other port. */
interface Arrival {
  readonly socket: Datagrams;
  readonly other: Datagrams;
  /** Whether it takes STUN alone. */
  readonly stunOnly: boolean;
}

/**
 * Answers datagrams until all sockets are closed, and then forgets whom it knew.
 */
export async function serveDatagrams(
  sockets: readonly DatagramPair[],
  context: RelayContext,
): Promise<void> {
  using service = new DatagramService(context);
  await Promise.all(sockets.flatMap(({ main, stun }) => [
    service.serve({ socket: main, other: stun, stunOnly: false }),
    service.serve({ socket: stun, other: main, stunOnly: true }),
  ]));
}

class DatagramService implements Disposable {
  readonly #context: RelayContext;
  readonly #clients = new UdpClients();
  readonly #allowance = new Allowance();
  /** Apart from the rates of connections: who forges an address must not use up its owner's. */
  readonly #rates: Rates;
  readonly #replaced = (client: UdpClient) => this.#clients.remove(client);
  #cancelSweep = () => {};
  #sweeping = false;
  #disposed = false;

  constructor(context: RelayContext) {
    this.#context = context;
    this.#rates = new Rates(context.limits.rate);
  }

  /** Answers what comes on a socket, until it is closed. */
  async serve(at: Arrival): Promise<void> {
    const { socket } = at;
    for (let next = await socket.receive(); next; next = await socket.receive()) {
      await this.#take(next.bytes, next.from, at);
    }
  }

  [Symbol.dispose](): void {
    this.#disposed = true;
    this.#cancelSweep();
    for (const client of this.#clients.takeAll()) this.#context.names.leave(client);
  }

  async #take(bytes: Uint8Array, from: Address, at: Arrival): Promise<void> {
    const now = this.#context.clock.now();
    const known = this.#clients.get(formatAddress(from));
    const sender = known ?? new UdpClient(from, at.socket, this.#replaced);
    if (!this.#rates.take(sender.source, now)) {
      this.#context.refusals.note("TooFast");
      return;
    }
    sender.pays(bytes.length);
    // What comes on the second port says nothing of whether the first still reaches the client.
    if (known && !at.stunOnly) this.#clients.heard(known, now);
    try {
      await this.#answer(bytes, sender, at);
    } catch (error) {
      // What is malformed is answered by nothing.
      if (!(error instanceof ProtocolError)) throw error;
    }
  }

  async #answer(bytes: Uint8Array, sender: UdpClient, at: Arrival): Promise<void> {
    if (bytes.length === 0 || bytes.length > MAX_DATAGRAM_BYTES) return;
    if (bytes[0]! <= LAST_STUN_BYTE) return await this.#answerStun(bytes, sender, at);
    if (!at.stunOnly) await this.#hear(decodeRendezvous(bytes), sender);
  }

  async #answerStun(bytes: Uint8Array, sender: UdpClient, at: Arrival): Promise<void> {
    const request = decodeStunRequest(bytes);
    const from = { host: sender.ip, port: sender.port };
    const answer = encodeStunAnswer(request, from, otherAddress(at.other, from));
    if (!answer || !this.#pay(sender, answer)) return;
    // RFC 3489, 8.1: an error comes from where the request went, whatever that asks for.
    const changed = request.changePort && request.unknown.length === 0;
    await (changed ? at.other : at.socket).send(answer, from);
  }

  async #hear(message: RendezvousMessage | undefined, sender: UdpClient): Promise<void> {
    switch (message?.type) {
      case "Register":
        return await this.#register(message.username, sender);
      case "Connect":
        return await this.#connect(message.targetUsername, sender);
      case "SessionFinished":
        sender.partner = undefined;
        return;
      case "Ping":
        return await this.#say(sender, { type: "Pong" });
      case "Goodbye":
        return this.#forget(sender);
    }
  }

  async #register(username: string, sender: UdpClient): Promise<void> {
    const { names, refusals, clock, draining, password } = this.#context;
    const now = clock.now();
    const closed = password.required ? "Password" : draining.aborted ? "Draining" : undefined;
    const refusal = closed ?? names.register(username, sender, now);
    if (refusal) refusals.note(refusal);
    // The one refusal that Peer-Punch's clients have a word for.
    if (refusal === "NameTaken") return await this.#say(sender, { type: "TargetBusy" });
    if (refusal) return;
    this.#clients.heard(sender, now);
    this.#sweepLater();
    await this.#say(sender, { type: "RegisterAck" });
  }

  async #connect(targetUsername: string, asker: UdpClient): Promise<void> {
    // Who is not registered has no name to be introduced by.
    if (asker.name === undefined) return;
    asker.partner = undefined;
    const target = this.#context.names.find(targetUsername, UdpClient);
    if (!target || target === asker) return await this.#say(asker, { type: "TargetNotFound" });
    // Who asks for the same target again has not heard the answer: datagrams get lost.
    if (target.partner !== undefined && target.partner !== asker.address) {
      return await this.#say(asker, { type: "TargetBusy" });
    }
    await this.#introduce(asker, target);
  }

  /** Both are told of each other, or neither is. */
  async #introduce(asker: UdpClient, target: UdpClient): Promise<void> {
    const toAsker = introduction(target);
    const toTarget = introduction(asker);
    if (!this.#pay(asker, toAsker)) return;
    if (!this.#pay(target, toTarget)) {
      return await this.#send(asker, encodeRendezvous({ type: "TargetBusy" }));
    }
    asker.partner = target.address;
    target.partner = asker.address;
    this.#context.counters.introductions++;
    await Promise.all([this.#send(asker, toAsker), this.#send(target, toTarget)]);
  }

  #forget(client: UdpClient): void {
    this.#clients.remove(client);
    this.#context.names.leave(client);
  }

  #sweepLater(): void {
    if (this.#sweeping || this.#disposed || this.#clients.size === 0) return;
    this.#sweeping = true;
    this.#cancelSweep = this.#context.clock.after(SWEEP_MS, () => this.#sweep());
  }

  /** Pings and forgets the silent. One after the other: there may be very many at once. */
  async #sweep(): Promise<void> {
    for (const { client, forgotten } of this.#clients.due(this.#context.clock.now())) {
      if (forgotten) this.#context.names.leave(client);
      else await this.#say(client, { type: "Ping" });
    }
    this.#sweeping = false;
    this.#sweepLater();
  }

  async #say(client: UdpClient, message: RendezvousMessage): Promise<void> {
    const bytes = encodeRendezvous(message);
    if (this.#pay(client, bytes)) await this.#send(client, bytes);
  }

  /** Whether this may be sent: out of what came from there, then out of the allowance. */
  #pay(client: UdpClient, bytes: Uint8Array): boolean {
    const missing = Math.max(0, bytes.length - client.credit);
    const now = this.#context.clock.now();
    if (missing > 0 && !this.#allowance.take(client.source, missing, now)) return false;
    client.credit -= bytes.length - missing;
    return true;
  }

  async #send(client: UdpClient, bytes: Uint8Array): Promise<void> {
    await client.socket.send(bytes, { host: client.ip, port: client.port });
  }
}

/**
 * Where the other socket answers, for OTHER-ADDRESS: the unspecified address of the asker's family
 * where the socket is bound to all addresses, since it is the one that the asker knows already.
 */
function otherAddress({ address }: Datagrams, asker: Address): Address {
  if (!isUnspecified(address.host)) return address;
  return { host: asker.host.includes(":") ? "::" : "0.0.0.0", port: address.port };
}

/** What is told of a client who has a name. */
function introduction(client: UdpClient): Uint8Array {
  return encodeRendezvous({ type: "PeerInfo", peer: client.address, username: client.name! });
}
