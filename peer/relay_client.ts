/**
 * A control session with a relay: registers a name, asks for others, is told who asks for us.
 * protocol/README.md, section 10.
 */
import { type Address, formatAddress, parseIpAddress } from "../protocol/address.ts";
import { encodeText, equalBytes } from "../protocol/bytes.ts";
import type { Clock } from "../protocol/clock.ts";
import type { Connection } from "../protocol/connection.ts";
import {
  IdentityError,
  type P2pError,
  ProtocolError,
  RefusedError,
  UnreachableError,
} from "../protocol/errors.ts";
import { fingerprint } from "../protocol/fingerprint.ts";
import { ReceiveBuffer } from "../protocol/framing.ts";
import {
  GOODBYE_TIMEOUT_MS,
  MAX_CANDIDATES,
  MAX_RENDEZVOUS_BYTES,
  RELAY_DEAD_MS,
  RELAY_PING_MS,
} from "../protocol/limits.ts";
import type { Reach } from "../protocol/nat.ts";
import type { KeyPair } from "../protocol/noise.ts";
import { RELAY_PREFACE } from "../protocol/preface.ts";
import {
  decodeRendezvous,
  encodeRendezvous,
  type PeerInfo,
  type RendezvousMessage,
} from "../protocol/rendezvous.ts";
import { NOT_A_RELAY, type SecureConnection } from "../protocol/secure.ts";
import { AsyncQueue } from "./async_queue.ts";
import { dialRelayPort } from "./carrier/node_tcp.ts";
import { systemClock } from "./clock.ts";
import { type Dial, dialSecure, RELAY } from "./dial_secure.ts";
import { formatRelay, type Relay } from "./relay_address.ts";
import { RelayRefusal } from "./relay_refusal.ts";
import type { Trust } from "./trust.ts";
import { whyLost } from "./why_lost.ts";

/** Milliseconds that the relay may take for an answer. */
const ANSWER_TIMEOUT_MS = 10_000;
/** Milliseconds in which the relay must answer after the network has changed. */
const CHECK_MS = 3_000;
/** Bytes read at once: most messages are smaller. */
const READ_BYTES = 1_024;
const NEWLINE = encodeText("\n");

export interface RelayClientOptions {
  relay: Relay;
  identity: KeyPair;
  trust: Trust;
  /** Ends the session, with a goodbye. */
  signal: AbortSignal;
  clock?: Clock | undefined;
  /** How the relay is reached. Default: over TCP, from a port that others can be dialled from. */
  dial?: Dial | undefined;
}

/** Whom we ask for, and what they are told of us. */
export interface Introduction {
  target: string;
  /** What we are called. */
  username: string;
  /** Where datagrams reach us. */
  reach?: Reach | undefined;
  /** Whether a circuit is wanted, too. */
  circuit: boolean;
}

/** What was asked and is not answered yet. */
interface Question {
  readonly about: "register" | "connect";
  /** The name that is to be ours, or whom we ask for. */
  readonly name: string;
  readonly answer: PromiseWithResolvers<PeerInfo | undefined>;
  readonly cancelTimeout: () => void;
}

export class RelayClient implements AsyncDisposable {
  /** Those who want to reach us, as they come; ends with the session. */
  readonly introductions = new AsyncQueue<PeerInfo>();
  /** The IP address and port at which the relay sees us. */
  readonly welcome: Promise<string>;
  /** Settles with the reason when the session is over; never rejects. */
  readonly ended: Promise<Error>;
  /** Where the relay was reached: a host name may stand for several machines. */
  readonly address: Address;
  /** The local port of the connection, if others can be dialled from it. */
  readonly localPort: number | undefined;
  readonly #secure: SecureConnection;
  readonly #clock: Clock;
  readonly #relay: string;
  readonly #password: string | undefined;
  readonly #welcome = Promise.withResolvers<string>();
  readonly #ended = Promise.withResolvers<Error>();
  readonly #received = new ReceiveBuffer(READ_BYTES);
  #questions: Question[] = [];
  /** The write under way, and those behind it. */
  #written: Promise<void> = Promise.resolve();
  #lastHeard: number;
  #lastSaid: number;
  #left: Promise<void> | undefined;
  #end: Error | undefined;
  #cancelKeepAlive: () => void = () => {};
  #cancelCheck: () => void = () => {};
  readonly #cancelWelcome: () => void;
  readonly #forgetSignal: () => void;

  private constructor(
    secure: SecureConnection,
    localPort: number | undefined,
    options: RelayClientOptions,
  ) {
    this.#secure = secure;
    this.localPort = localPort;
    this.#clock = options.clock ?? systemClock;
    this.#relay = formatRelay(options.relay);
    this.#password = options.relay.password;
    this.address = parseIpAddress(secure.remote) ?? options.relay.address;
    this.welcome = this.#welcome.promise;
    this.welcome.catch(() => {});
    this.ended = this.#ended.promise;
    this.#lastHeard = this.#lastSaid = this.#clock.now();
    this.#cancelWelcome = this.#answerTimeout();
    this.#forgetSignal = this.#heed(options.signal);
    this.#say({ type: "Hello", password: this.#password });
    this.#keepAlive();
    this.#receiveLoop();
  }

  /**
   * Begins a session, once the relay has proven the key that is known of it.
   * @throws {UnreachableError} if no relay answers
   * @throws {IdentityError} if its key is not the one that is known, or that was given
   * @throws {ProtocolError} if what answers is no relay
   */
  static async connect(options: RelayClientOptions): Promise<RelayClient> {
    const { relay, trust, dial = dialRelayPort } = options;
    const where = formatRelay(relay);
    let localPort: number | undefined;
    const secure = await dialSecure(relay.address, {
      ...options,
      dial: async (address, signal) => {
        const connection = await dial(address, signal);
        localPort = localPortOf(connection);
        return connection;
      },
      preface: RELAY_PREFACE,
      checkKey: (key) => checkRelayKey(relay, key, trust),
      callee: RELAY,
    }).catch((error) => {
      throw isPeer(error) ? peerThere(where, error) : error;
    });
    try {
      if (!relay.key) await trust.admit(where, secure.remoteKey);
      options.signal.throwIfAborted();
    } catch (error) {
      secure.close();
      throw error;
    }
    return new RelayClient(secure, localPort, options);
  }

  /**
   * Takes a name, instead of the one before.
   * @param candidates IP addresses and ports at which we take connections, best first
   * @param reach where datagrams reach us
   * @throws {RelayRefusal} if we may not have it; what was ours stays ours
   */
  async register(username: string, candidates: readonly string[], reach?: Reach): Promise<void> {
    await this.#ask("register", username, {
      type: "Register",
      username,
      candidates: candidates.slice(0, MAX_CANDIDATES),
      ...fieldsOf(reach),
    });
  }

  /**
   * Asks for somebody, who is told of it.
   * @throws {UnreachableError} if nobody holds that name
   * @throws {RefusedError} if they are asked for by too many, or the relay does not want to
   */
  async introduce({ target, username, reach, circuit }: Introduction): Promise<PeerInfo> {
    const message = await this.#ask("connect", target, {
      type: "Connect",
      targetUsername: target,
      username,
      candidates: [],
      ...fieldsOf(reach),
      circuit: circuit ? undefined : false,
    });
    return message!;
  }

  /** The network has changed: the session is given up if the relay does not answer soon. */
  check(): void {
    const asked = this.#clock.now();
    this.#say({ type: "Ping" });
    this.#cancelCheck();
    this.#cancelCheck = this.#clock.after(CHECK_MS, () => {
      if (this.#lastHeard >= asked) return;
      this.#fail(new UnreachableError(`Lost the relay ${this.#relay}: the network has changed`));
    });
  }

  /** Says goodbye: our name is free at once, and circuits that nobody used are dropped. */
  leave(): Promise<void> {
    return this.#leave(new UnreachableError(`Not connected to the relay ${this.#relay} any more`));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.leave();
  }

  #leave(reason: unknown): Promise<void> {
    this.#left ??= this.#sayGoodbye().then(() => this.#fail(reason));
    return this.#left;
  }

  async #sayGoodbye(): Promise<void> {
    if (this.#end) return;
    this.#say({ type: "SessionFinished" });
    this.#say({ type: "Goodbye" });
    const late = Promise.withResolvers<void>();
    const cancel = this.#clock.after(GOODBYE_TIMEOUT_MS, late.resolve);
    await Promise.race([this.#written, late.promise]);
    cancel();
  }

  #ask(
    about: Question["about"],
    name: string,
    message: RendezvousMessage,
  ): Promise<PeerInfo | undefined> {
    if (this.#end) return Promise.reject(this.#end);
    const answer = Promise.withResolvers<PeerInfo | undefined>();
    this.#questions.push({ about, name, answer, cancelTimeout: this.#answerTimeout() });
    this.#say(message);
    return answer.promise;
  }

  /** Answers come in order: where one is missing, no other can be told apart any more. */
  #answerTimeout(): () => void {
    return this.#clock.after(ANSWER_TIMEOUT_MS, () => {
      this.#fail(new UnreachableError(`Lost the relay ${this.#relay}: it does not answer`));
    });
  }

  #heed(signal: AbortSignal): () => void {
    const abort = () => void this.#leave(signal.reason);
    signal.addEventListener("abort", abort);
    return () => signal.removeEventListener("abort", abort);
  }

  #say(message: RendezvousMessage): void {
    if (this.#end) return;
    this.#lastSaid = this.#clock.now();
    const line = encodeRendezvous(message);
    this.#written = this.#written
      .then(() => this.#secure.write(line, NEWLINE))
      .catch((error) => this.#fail(error));
  }

  #keepAlive(): void {
    const now = this.#clock.now();
    if (now - this.#lastHeard >= RELAY_DEAD_MS) {
      const seconds = RELAY_DEAD_MS / 1_000;
      return this.#fail(
        new UnreachableError(`Lost the relay ${this.#relay}: no sign of life for ${seconds} s`),
      );
    }
    if (now - this.#lastSaid >= RELAY_PING_MS) this.#say({ type: "Ping" });
    const next = Math.min(this.#lastSaid + RELAY_PING_MS, this.#lastHeard + RELAY_DEAD_MS);
    this.#cancelKeepAlive = this.#clock.after(next - now, () => this.#keepAlive());
  }

  async #receiveLoop(): Promise<void> {
    try {
      while (!this.#end) {
        const line = this.#received.takeLine(MAX_RENDEZVOUS_BYTES);
        if (line) {
          this.#take(decodeRendezvous(line));
          continue;
        }
        const bytes = await this.#secure.read(this.#received.space());
        if (bytes === null) throw new UnreachableError("it closed the connection");
        this.#received.filled(bytes.length);
      }
    } catch (error) {
      this.#fail(this.#lost(error));
    }
  }

  #take(message: RendezvousMessage | undefined): void {
    this.#lastHeard = this.#clock.now();
    switch (message?.type) {
      case "Welcome":
        this.#cancelWelcome();
        return this.#welcome.resolve(message.address);
      case "RegisterAck":
        return this.#answered("register").answer.resolve(undefined);
      case "PeerInfo":
        if (message.initiator === false) return this.introductions.push(message);
        return this.#answered("connect").answer.resolve(message);
      case "TargetNotFound":
      case "TargetBusy": {
        const { answer, name } = this.#answered("connect");
        return answer.reject(this.#notThere(name, message.type));
      }
      case "Refused":
        return this.#refused(message.code, message.text);
      case "Ping":
        return this.#say({ type: "Pong" });
      case "Goodbye":
        throw new UnreachableError("it has said goodbye");
    }
  }

  /** The question that this answers: the oldest one. */
  #answered(about: Question["about"]): Question {
    const [question] = this.#questions;
    if (question?.about !== about) {
      throw new ProtocolError("it answered what was not asked");
    }
    this.#questions.shift();
    question.cancelTimeout();
    return question;
  }

  #refused(code: string, text: string): void {
    const [question] = this.#questions;
    const name = question?.about === "register" ? question.name : undefined;
    const refusal = new RelayRefusal({
      code,
      text,
      relay: this.#relay,
      name,
      password: this.#password,
    });
    if (refusal.ends) return this.#fail(refusal);
    if (question) this.#answered(question.about).answer.reject(refusal);
  }

  #notThere(name: string, message: "TargetNotFound" | "TargetBusy"): Error {
    const where = `the relay ${this.#relay}`;
    if (message === "TargetBusy") {
      return new RefusedError(`${name} is busy at ${where}: too many ask for them`, {
        hint: "Try again in a moment.",
      });
    }
    return new UnreachableError(`Nobody is called ${name} at ${where}`, {
      hint:
        "Check the spelling. The other side is there as long as it runs p2p listen or punch with " +
        `--relay ${this.#relay} and that --name.`,
    });
  }

  #lost(error: unknown): unknown {
    if (!(error instanceof UnreachableError || error instanceof ProtocolError)) return error;
    const Kind = error instanceof ProtocolError ? ProtocolError : UnreachableError;
    return new Kind(`Lost the relay ${this.#relay}: ${whyLost(error)}`, {
      hint: "Try again in a moment: it may be starting anew.",
      cause: error,
    });
  }

  #fail(reason: unknown): void {
    if (this.#end) return;
    const error = reason instanceof Error ? reason : new UnreachableError(String(reason));
    this.#end = error;
    this.#cancelKeepAlive();
    this.#cancelCheck();
    this.#cancelWelcome();
    this.#forgetSignal();
    this.#secure.close();
    this.#welcome.reject(error);
    for (const { answer, cancelTimeout } of this.#questions.splice(0)) {
      cancelTimeout();
      answer.reject(error);
    }
    this.introductions.close();
    this.#ended.resolve(error);
  }
}

/** The local port, where the connection was made so that it can be shared. */
function localPortOf(connection: Connection): number | undefined {
  return "localPort" in connection ? connection.localPort as number : undefined;
}

function fieldsOf(reach: Reach | undefined) {
  if (reach?.mapping === undefined) return {};
  const { udp, seen, mapping } = reach;
  return { udp: udp.map(formatAddress), seen: seen.map(formatAddress), mapping };
}

/** A key that was given with the address is the one; else the one that was first seen there. */
async function checkRelayKey(relay: Relay, key: Uint8Array, trust: Trust): Promise<void> {
  const where = formatRelay(relay);
  if (!relay.key) return await trust.check(where, key, "Relay");
  if (equalBytes(relay.key, key)) return;
  const [wanted, seen] = [fingerprint(relay.key), fingerprint(key)];
  throw new IdentityError(
    `Relay refused: ${where} has another key than the one behind # (${wanted}, it has ${seen})`,
    { hint: "Ask whoever runs it for the address that its `p2p relay` prints." },
  );
}

function isPeer(error: unknown): boolean {
  return error instanceof RefusedError && error.message.endsWith(NOT_A_RELAY);
}

function peerThere(where: string, cause: unknown): P2pError {
  return new ProtocolError(`No relay at ${where}: a peer listens there`, {
    hint: `To talk to that peer: p2p connect ${where}. A relay is started with: p2p relay`,
    cause,
  });
}
