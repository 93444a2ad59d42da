/**
 * Peer-Punch's protocol (protocol/README.md, section 10), from the side of one peer: registers at a
 * relay, is introduced, punches, and talks in lines. Datagrams in, datagrams and events out; time
 * comes from a clock.
 *
 *     registering ──RegisterAck──▶ idle ──PeerInfo──▶ punching ──a datagram──▶ talking
 *          ▲      relay is silent   │ ▲   in vain        │       Goodbye, or     │
 *          └────────────────────────┘ └──────────────────┴───────────────────────┘
 *                                         silence
 *
 * Who visits somebody is `asking` in between, until the relay has introduced them; what ends that,
 * the punching or the talk ends all.
 */
import {
  type Address,
  formatAddress,
  isDialable,
  isLoopback,
  parseIpAddress,
} from "../protocol/address.ts";
import { Allowance } from "../protocol/allowance.ts";
import { encodeText } from "../protocol/bytes.ts";
import { type Clock, sleep } from "../protocol/clock.ts";
import { P2pError, ProtocolError, RefusedError, UnreachableError } from "../protocol/errors.ts";
import { MAX_DATAGRAM_BYTES } from "../protocol/limits.ts";
import { checkName } from "../protocol/name.ts";
import {
  decodeRendezvous,
  encodeRendezvous,
  type PeerInfo,
  type RendezvousMessage,
} from "../protocol/rendezvous.ts";
import { Repeating, type RepeatingOptions } from "./repeating.ts";
import { Silence } from "./silence.ts";

/** Milliseconds between questions to the relay, until it has answered: 10 s in all. */
const QUESTION_WAITS = [250, 500, 750, 1_000, 1_000, 1_250, 1_250, 1_250, 1_250, 1_500];
/** Milliseconds between questions to a relay that has been lost. */
const PATIENT_WAIT_MS = 5_000;
/** Milliseconds after which a relay that has not even sent a Ping has lost us. */
const RELAY_SILENT_MS = 25_000;
/** Milliseconds between Pings that open the way: often for 2 s, then for 8 s more. */
const PUNCH_WAITS = [...Array<number>(20).fill(100), ...Array<number>(32).fill(250)];
/** Such Pings without an answer until the relay is asked once more. */
const PINGS_PER_QUESTION = 5;
/** Milliseconds between Pings that keep the way open. */
const KEEP_ALIVE_MS = 15_000;
/** Milliseconds of silence after which a peer is gone. */
const PEER_SILENT_MS = 60_000;
/** Milliseconds of silence after which a peer's NAT may have given it another port. */
const MOVED_AFTER_MS = 20_000;
/** Milliseconds between datagrams that nobody acknowledges, sent more than once for that. */
const FAREWELL_WAITS = [50, 50, 0];
const FINISHED_WAITS = [250, 1_000, 0];
/** Datagrams of a peer, and of the relay, that are heard: each second, and at once. */
const HEARD = { perSecond: 100, burst: 200 };
/** Bytes of a line's content that one datagram takes. */
const CONTENT_BYTES = MAX_DATAGRAM_BYTES -
  encodeRendezvous({ type: "DirectMessage", content: "" }).length;
/** Bytes around a text in JSON. */
const QUOTES_BYTES = 2;
/** Datagrams that one line may take. */
const MAX_PARTS = 16;

/** What people are told of. A peer goes by the name that the relay has told. */
export type PlainPunchEvent =
  | { type: "registered"; again: boolean }
  /** The relay does not answer any more; it is asked on. */
  | { type: "relayLost" }
  /** The relay has told where a peer is: the way there is being opened. */
  | { type: "introduced"; peer: string; address: Address }
  | { type: "connected"; peer: string; address: Address }
  | { type: "message"; peer: string; text: string }
  /** More comes from the peer than is heard. Told once in a talk. */
  | { type: "flooded"; peer: string }
  /** With the reason, if it has not just said goodbye. */
  | { type: "left"; peer: string; error?: P2pError }
  /** No way to a peer who has asked for us could be opened. */
  | { type: "missed"; peer: string; error: P2pError };

export interface PlainPunchOptions {
  /** The name that we register. */
  name: string;
  /** The name of whom we visit; undefined: we wait for others. */
  to?: string | undefined;
  /** Where the relay is, by its IP address. */
  relay: Address;
  /** The relay as people write it. */
  relayName: string;
  clock: Clock;
  send: (bytes: Uint8Array, to: Address) => void;
  tell: (event: PlainPunchEvent) => void;
}

type State = "registering" | "idle" | "asking" | "punching" | "talking" | "over";

interface Partner {
  readonly name: string;
  /** Where the relay says that it is. */
  readonly told: Address;
  /** Where its datagrams come from. */
  address: Address;
  readonly limit: Allowance;
  flooded: boolean;
}

export class PlainPunch {
  readonly #options: PlainPunchOptions;
  readonly #over = Promise.withResolvers<void>();
  readonly #relayLimit: Allowance;
  #state: State = "registering";
  /** Whether the relay has ever known us. */
  #registered = false;
  /** Whether it was told that the relay is lost. */
  #relayLost = false;
  #partner: Partner | undefined;
  /** What goes on in this state. */
  #repeating: Repeating | undefined;
  #silence: Silence | undefined;
  /** Tells the relay that we are idle again. */
  #finishing: Repeating | undefined;

  /** Begins to register. */
  constructor(options: PlainPunchOptions) {
    this.#options = options;
    this.#relayLimit = new Allowance(options.clock, HEARD);
    this.#register(QUESTION_WAITS);
  }

  /**
   * Resolves when it is over: the visit, or after `leave`.
   * @throws {UnreachableError} if the relay or the peer cannot be reached, or the peer fell silent
   * @throws {RefusedError} if the name is taken, or the peer is busy
   */
  get over(): Promise<void> {
    return this.#over.promise;
  }

  /** A datagram has come. What is not the relay's nor the peer's is not heard. */
  receive(bytes: Uint8Array, from: Address): void {
    if (this.#state === "over" || bytes.length > MAX_DATAGRAM_BYTES) return;
    const partner = this.#partner;
    if (sameAddress(from, this.#options.relay)) {
      if (this.#relayLimit.take()) this.#hearRelay(decode(bytes));
    } else if (partner && from.host === partner.told.host) {
      if (partner.limit.take()) this.#hearPeer(partner, decode(bytes), from);
      else this.#flooded(partner);
    }
  }

  /**
   * Says a line; a long one in several datagrams.
   * @returns whether somebody is there
   * @throws {P2pError} if it is too long
   */
  say(line: string): boolean {
    const parts = splitContent(line);
    if (parts === undefined) {
      throw new P2pError(`Line not sent: it takes more than ${MAX_PARTS} datagrams`, {
        hint: "Without --plain lines may be longer, and files can be sent.",
      });
    }
    if (this.#state !== "talking") return false;
    for (const content of parts) this.#sendPeer({ type: "DirectMessage", content });
    return true;
  }

  /** Says goodbye to everybody; resolves when that has been said often enough to be heard. */
  async leave(): Promise<void> {
    if (this.#state === "over") return;
    this.#enter("over");
    this.#finishing?.stop();
    for (const wait of FAREWELL_WAITS) {
      this.#sendPeer({ type: "Goodbye" });
      this.#leaveRelay();
      await sleep(this.#options.clock, wait);
    }
    this.#over.resolve();
  }

  #register(waits: Iterable<number>): void {
    this.#enter("registering");
    this.#ask({ type: "Register", username: this.#options.name }, waits);
  }

  /** Asks the relay until it answers, or is given up. */
  #ask(question: RendezvousMessage, waits: Iterable<number>): void {
    this.#repeat({
      waits,
      act: () => this.#sendRelay(question),
      inVain: () => this.#relaySilent(),
    });
  }

  #relaySilent(): void {
    if (!this.#registered || this.#state === "asking") {
      return this.#end(
        new UnreachableError(`Could not reach the relay ${this.#options.relayName}: no answer`, {
          hint: "Is UDP open there? A relay with a password takes nobody in plain text: " +
            "leave --plain out.",
        }),
      );
    }
    this.#relayLost = true;
    this.#options.tell({ type: "relayLost" });
    this.#register(forever(PATIENT_WAIT_MS));
  }

  #hearRelay(message: RendezvousMessage | undefined): void {
    if (this.#state === "idle") this.#silence?.broken();
    switch (message?.type) {
      case "Ping":
        return this.#sendRelay({ type: "Pong" });
      case "RegisterAck":
        if (this.#state === "registering") this.#accepted();
        return;
      case "PeerInfo":
        return this.#introduced(message);
      case "TargetBusy":
      case "TargetNotFound":
        return this.#refused(message.type);
    }
  }

  #accepted(): void {
    const { to, tell } = this.#options;
    if (this.#relayLost || !this.#registered) tell({ type: "registered", again: this.#registered });
    this.#relayLost = false;
    this.#registered = true;
    if (to === undefined) return this.#wait();
    this.#enter("asking");
    this.#ask({ type: "Connect", targetUsername: to }, QUESTION_WAITS);
  }

  #wait(): void {
    this.#enter("idle");
    const again = () => this.#register(QUESTION_WAITS);
    this.#silence = new Silence(this.#options.clock, RELAY_SILENT_MS, again);
  }

  #refused(answer: "TargetBusy" | "TargetNotFound"): void {
    const { name, to, relayName } = this.#options;
    const where = `the relay ${relayName}`;
    if (this.#state === "registering" && answer === "TargetBusy") {
      this.#end(
        new RefusedError(`The relay ${relayName} refused the name ${name}: another holds it`, {
          hint: "Take another --name, or wait until it is free.",
        }),
      );
    } else if (this.#state === "asking" && answer === "TargetBusy") {
      this.#end(
        new RefusedError(`${to} is busy at ${where}: talking with somebody else`, {
          hint: "Try again in a while.",
        }),
      );
    } else if (this.#state === "asking") {
      this.#end(
        new UnreachableError(`Nobody is called ${to} at ${where}`, {
          hint:
            "Check the spelling. The other side is there as long as it runs p2p punch --plain " +
            `with --relay ${relayName} and that --name.`,
        }),
      );
    }
  }

  /** Whoever is introduced is met, but for those who come while we want another, or talk. */
  #introduced(info: PeerInfo): void {
    const { to } = this.#options;
    const told = parseIpAddress(info.peer);
    // No relay makes us write to a network, or to ourselves.
    const dialable = told && isDialable(told.host, isLoopback(this.#options.relay.host));
    if (this.#state === "talking" || !dialable) return;
    if (to === undefined ? !this.#registered : info.username.normalize() !== to) return;
    if (this.#partner && sameAddress(this.#partner.told, told)) return;
    this.#punch(checkName(info.username).name ?? formatAddress(told), told);
  }

  #punch(name: string, told: Address): void {
    const { clock, tell } = this.#options;
    this.#finishing?.stop();
    this.#enter("punching");
    const limit = new Allowance(clock, HEARD);
    this.#partner = { name, told, address: told, limit, flooded: false };
    tell({ type: "introduced", peer: name, address: told });
    let pings = 0;
    this.#repeat({
      waits: PUNCH_WAITS,
      act: () => {
        this.#sendPeer({ type: "Ping" });
        if (++pings % PINGS_PER_QUESTION === 0) this.#askAgain();
      },
      inVain: () => this.#missed(name, told),
    });
  }

  /** What the relay has told the other side may have been lost. */
  #askAgain(): void {
    const { to } = this.#options;
    if (to !== undefined) this.#sendRelay({ type: "Connect", targetUsername: to });
  }

  #flooded(partner: Partner): void {
    if (!partner.flooded) this.#options.tell({ type: "flooded", peer: partner.name });
    partner.flooded = true;
  }

  #missed(peer: string, told: Address): void {
    const error = new UnreachableError(
      `Could not reach ${peer} at ${formatAddress(told)}: no datagram came through`,
      {
        hint: "The NATs may not let any through. Without --plain, p2p punch knows more ways, " +
          "and the relay is one.",
      },
    );
    if (this.#options.to !== undefined) return this.#end(error);
    this.#finish();
    this.#options.tell({ type: "missed", peer, error });
  }

  #hearPeer(partner: Partner, message: RendezvousMessage | undefined, from: Address): void {
    if (!this.#comesFrom(partner, message, from)) return;
    this.#silence?.broken();
    partner.address = from;
    if (this.#state === "punching") this.#connected(partner);
    switch (message?.type) {
      case "Ping":
        return this.#sendPeer({ type: "Pong" });
      case "DirectMessage":
        return this.#options.tell({ type: "message", peer: partner.name, text: message.content });
      case "Goodbye":
        return this.#left(partner);
    }
  }

  /**
   * Whether a datagram from the peer's IP address is the peer's. Another port is another program's,
   * perhaps that of whom we talked with before; or the peer's, whose NAT has chosen a port for us.
   */
  #comesFrom(partner: Partner, message: RendezvousMessage | undefined, from: Address): boolean {
    if (sameAddress(from, partner.told) || sameAddress(from, partner.address)) return true;
    if (!message || message.type === "Goodbye") return false;
    return this.#state === "punching" || (this.#silence?.lasting ?? 0) > MOVED_AFTER_MS;
  }

  #connected({ name, address }: Partner): void {
    const { clock, tell } = this.#options;
    this.#enter("talking");
    this.#silence = new Silence(clock, PEER_SILENT_MS, () => this.#fellSilent(name));
    tell({ type: "connected", peer: name, address });
    // The first one at once: the other side may not have heard us yet.
    this.#repeat({
      waits: forever(KEEP_ALIVE_MS),
      act: () => this.#sendPeer({ type: "Ping" }),
    });
  }

  #fellSilent(peer: string): void {
    const seconds = PEER_SILENT_MS / 1_000;
    this.#talkOver(peer, new UnreachableError(`Lost ${peer}: silent for ${seconds} s`));
  }

  #left({ name }: Partner): void {
    this.#talkOver(name, undefined);
  }

  #talkOver(peer: string, error: P2pError | undefined): void {
    if (this.#options.to !== undefined) this.#end(error);
    else this.#finish();
    this.#options.tell({ type: "left", peer, ...(error && { error }) });
  }

  /** Idle again, and the relay is to know it. */
  #finish(): void {
    this.#partner = undefined;
    this.#wait();
    this.#finishing = new Repeating(this.#options.clock, {
      waits: FINISHED_WAITS,
      act: () => this.#sendRelay({ type: "SessionFinished" }),
    });
    this.#finishing.start();
  }

  /** The end of all, where there is no peer to say goodbye to. */
  #end(error: P2pError | undefined): void {
    this.#enter("over");
    this.#partner = undefined;
    if (this.#registered) this.#leaveRelay();
    if (error) this.#over.reject(error);
    else this.#over.resolve();
  }

  #leaveRelay(): void {
    this.#sendRelay({ type: "SessionFinished" });
    this.#sendRelay({ type: "Goodbye" });
  }

  #repeat(options: RepeatingOptions): void {
    this.#repeating = new Repeating(this.#options.clock, options);
    this.#repeating.start();
  }

  #enter(state: State): void {
    this.#stop();
    this.#state = state;
  }

  #stop(): void {
    this.#repeating?.stop();
    this.#silence?.stop();
    this.#silence = undefined;
  }

  #sendRelay(message: RendezvousMessage): void {
    this.#options.send(encodeRendezvous(message), this.#options.relay);
  }

  #sendPeer(message: RendezvousMessage): void {
    if (this.#partner) this.#options.send(encodeRendezvous(message), this.#partner.address);
  }
}

/** What a datagram says; undefined if it is none of ours. */
function decode(bytes: Uint8Array): RendezvousMessage | undefined {
  try {
    return decodeRendezvous(bytes);
  } catch (error) {
    if (error instanceof ProtocolError) return undefined;
    throw error;
  }
}

function sameAddress(one: Address, other: Address): boolean {
  return one.host === other.host && one.port === other.port;
}

function* forever(ms: number): Generator<number> {
  for (;;) yield ms;
}

/** A line in pieces that each fit a datagram; undefined if it takes too many. */
function splitContent(line: string): string[] | undefined {
  if (line.length > MAX_PARTS * CONTENT_BYTES) return undefined;
  const parts = [""];
  let room = CONTENT_BYTES;
  for (const character of line) {
    const size = encodeText(JSON.stringify(character)).length - QUOTES_BYTES;
    if (size > room) {
      parts.push("");
      room = CONTENT_BYTES;
    }
    room -= size;
    parts[parts.length - 1] += character;
  }
  return parts.length > MAX_PARTS ? undefined : parts;
}
