/** A client on a control session: it has proven its key, and asks for things, a line each. */
import { concatBytes } from "../protocol/bytes.ts";
import { sleep } from "../protocol/clock.ts";
import { P2pError, ProtocolError } from "../protocol/errors.ts";
import { fingerprint } from "../protocol/fingerprint.ts";
import { PUNCH_SECRET_BYTES, RELAY_DEAD_MS } from "../protocol/limits.ts";
import { checkName } from "../protocol/name.ts";
import {
  decodeRendezvous,
  encodeRendezvous,
  isFinal,
  type PunchInfo,
  type Refusal,
  type RendezvousMessage,
} from "../protocol/rendezvous.ts";
import type { SecureConnection } from "../protocol/secure.ts";
import type { Circuits, Party, Tokens } from "./circuits.ts";
import type { RelayContext } from "./context.ts";
import { FAREWELL_MS } from "./farewell.ts";
import { Lines } from "./lines.ts";
import type { Holder } from "./names.ts";
import type { Reintroductions } from "./reintroductions.ts";
import { refused, TOO_FAST_PAUSE_MS } from "./refusal.ts";
import { endpointOf, sourceOf } from "./source.ts";

/** Bytes that may wait for a client that does not read. */
const MAX_QUEUED_BYTES = 65_536;
const NEWLINE = Uint8Array.of(0x0a);

/** What a client says of itself that its introductions repeat. */
interface Told extends PunchInfo {
  readonly candidates?: string[] | undefined;
}

export interface ControlOptions {
  context: RelayContext;
  circuits: Circuits;
  reintroductions: Reintroductions;
  /** Called when the client has been let in. */
  onGreeted: () => void;
}

export class ControlClient implements Holder, Party {
  readonly kind = "control";
  readonly ip: string;
  readonly source: string;
  readonly key: Uint8Array;
  name: string | undefined;
  /** Where it is seen. */
  readonly #address: string;
  /**
   * What it has told of itself with its name, for those who ask for it: a `Told` as JSON, which
   * takes a third of the memory, and there are thousands of them.
   */
  #told = "{}";
  readonly #connection: SecureConnection;
  readonly #lines: Lines;
  readonly #options: ControlOptions;
  readonly #queue: Uint8Array[] = [];
  #queuedBytes = 0;
  #sending: Promise<void> | undefined;
  #state: "new" | "greeted" | "ending" = "new";
  readonly #over = Promise.withResolvers<void>();
  #heardAt: number;
  #cancelFarewell = () => {};

  constructor(connection: SecureConnection, remote: string, options: ControlOptions) {
    const { ip, address } = endpointOf(remote);
    const { clock, limits } = options.context;
    this.ip = ip;
    this.source = sourceOf(ip);
    this.key = connection.remoteKey;
    this.#address = address;
    this.#connection = connection;
    this.#lines = new Lines(limits.maxMessageBytes);
    this.#options = options;
    this.#heardAt = clock.now();
  }

  /** Resolves when its connection is closed. */
  serve(): Promise<void> {
    this.#listen();
    return this.#over.promise;
  }

  /** The relay is about to end. */
  drain(): void {
    this.#refuse("Draining");
  }

  /** Gives the connection up if nothing has come for too long. */
  checkAlive(): void {
    const silentMs = this.#options.context.clock.now() - this.#heardAt;
    if (silentMs >= RELAY_DEAD_MS) this.#connection.close();
  }

  /** Its key has taken its name on another connection. */
  replaced(): void {
    this.#refuse("Replaced");
  }

  /** Queues a message; a client that leaves too much unread is dropped. */
  send(message: RendezvousMessage): void {
    if (this.#state === "ending") return;
    const line = concatBytes(encodeRendezvous(message), NEWLINE);
    this.#queuedBytes += line.length;
    if (this.#queuedBytes > MAX_QUEUED_BYTES) return this.#connection.close();
    this.#queue.push(line);
    this.#sending ??= this.#sendQueued();
  }

  async #sendQueued(): Promise<void> {
    try {
      for (let line = this.#queue.shift(); line; line = this.#queue.shift()) {
        await this.#connection.write(line);
        this.#queuedBytes -= line.length;
      }
    } catch {
      // It is gone, which ends the reading as well.
      this.#connection.close();
    }
    this.#sending = undefined;
  }

  /** Waits for what comes, without a function that waits: each would cost memory. */
  #listen(): void {
    this.#connection.read()
      .then((bytes) => this.#hear(bytes))
      .catch((error) => this.#fail(error));
  }

  /** Takes messages; what comes after the last answer is dropped. */
  async #hear(bytes: Uint8Array | null): Promise<void> {
    if (bytes === null) return this.#leave();
    if (!this.#takeRecord(bytes)) await sleep(this.#options.context.clock, TOO_FAST_PAUSE_MS);
    this.#listen();
  }

  async #fail(error: unknown): Promise<void> {
    if (error instanceof ProtocolError) {
      this.#refuse("Malformed");
      await this.#readOut();
    }
    if (!(error instanceof P2pError)) this.#over.reject(error);
    this.#leave();
  }

  /** Its connection is of no more use. */
  #leave(): void {
    const { names, clock } = this.#options.context;
    this.#cancelFarewell();
    this.#connection.close();
    names.lost(this, clock.now());
    this.#options.circuits.left(this);
    this.#over.resolve();
  }

  async #readOut(): Promise<void> {
    try {
      while (await this.#connection.read() !== null);
    } catch {
      // It is gone, or what it sends cannot be read.
    }
  }

  /**
   * False if it came too fast: what stands behind the message that did is dropped. Otherwise one
   * record could be a reason to pause for minutes.
   */
  #takeRecord(bytes: Uint8Array): boolean {
    this.#lines.push(bytes);
    let line = this.#lines.next();
    // A piece of a message costs as much as a message.
    if (!line) return this.#maySpeak();
    let inTime = true;
    for (; line; line = this.#lines.next()) inTime &&= this.#takeLine(line);
    return inTime;
  }

  /** False if it came too fast. */
  #takeLine(line: Uint8Array): boolean {
    if (this.#state === "ending") return true;
    this.#heardAt = this.#options.context.clock.now();
    // The rate of connections bounds that of first messages: the others make no sense without them.
    const inTime = this.#state === "new" || this.#maySpeak();
    if (inTime) this.#take(decodeRendezvous(line));
    else this.#refuse("TooFast");
    return inTime;
  }

  #maySpeak(): boolean {
    const { admission, clock } = this.#options.context;
    return admission.maySpeak(this.source, clock.now());
  }

  #take(message: RendezvousMessage | undefined): void {
    if (this.#state === "new") return this.#greet(message);
    switch (message?.type) {
      case "Register":
        return this.#register(message);
      case "Connect":
        return this.#introduce(message);
      case "SessionFinished":
        return this.#options.circuits.finished(this);
      case "Ping":
        return this.send({ type: "Pong" });
      case "Pong":
        return;
      case "Goodbye":
        this.#options.context.names.leave(this);
        this.#end();
        return;
      default:
        return this.#refuse("Malformed");
    }
  }

  #greet(message: RendezvousMessage | undefined): void {
    const { password, draining } = this.#options.context;
    if (message?.type !== "Hello") return this.#refuse("Malformed");
    if (!password.accepts(message.password)) return this.#refuse("Password");
    if (draining.aborted) return this.#refuse("Draining");
    this.#state = "greeted";
    this.#options.onGreeted();
    this.send({ type: "Welcome", address: this.#address });
  }

  #register(message: RendezvousMessage & { type: "Register" }): void {
    const { names, clock } = this.#options.context;
    const refusal = names.register(message.username, this, clock.now());
    if (refusal) return this.#refuse(refusal);
    this.#told = JSON.stringify(toldIn(message));
    this.send({ type: "RegisterAck" });
  }

  #introduce(asked: RendezvousMessage & { type: "Connect" }): void {
    const target = this.#options.context.names.find(asked.targetUsername, ControlClient);
    if (!target) return this.send({ type: "TargetNotFound" });
    const tokens = asked.circuit === false
      ? this.#reintroduce(target)
      : this.#options.circuits.introduce(this, target);
    if (!tokens) return this.send({ type: "TargetBusy" });
    const secret = crypto.getRandomValues(new Uint8Array(PUNCH_SECRET_BYTES));
    target.send({
      ...this.#peerInfo(toldIn(asked), asked.username),
      secret,
      circuit: tokens.target,
      initiator: false,
    });
    this.send({
      ...target.#peerInfo(JSON.parse(target.#told) as Told),
      secret,
      circuit: tokens.asker,
      initiator: true,
    });
  }

  /** No tokens, or undefined if the target is asked for too often. */
  #reintroduce(target: ControlClient): Partial<Tokens> | undefined {
    const { context, reintroductions } = this.#options;
    const inTime = reintroductions.take(this.source, target.name!, context.clock.now());
    if (!inTime) return undefined;
    context.counters.introductions++;
    return {};
  }

  /** What another is told of it. */
  #peerInfo(told: Told, calledItself = "") {
    const username = checkName(calledItself).name ?? this.name ?? fingerprint(this.key);
    return { type: "PeerInfo", peer: this.#address, username, key: this.key, ...told } as const;
  }

  #refuse(code: Refusal): void {
    if (this.#state === "ending") return;
    this.#options.context.refusals.note(code);
    this.send(refused(code));
    if (isFinal(code)) this.#end();
  }

  /** Says no more, and closes when the other side has, or has had time to. */
  async #end(): Promise<void> {
    const { names, clock } = this.#options.context;
    this.#state = "ending";
    this.#cancelFarewell = clock.after(FAREWELL_MS, () => this.#connection.close());
    names.lost(this, clock.now());
    try {
      await this.#sending;
      await this.#connection.closeWrite();
    } catch {
      // It is gone.
    }
  }
}

function toldIn({ candidates, udp, seen, mapping }: Told): Told {
  return { candidates, udp, seen, mapping };
}
