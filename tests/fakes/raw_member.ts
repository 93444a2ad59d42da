/** A member that proves an identity as it must, and then says in its chat what the test wants it to say. */
import { RawPeer } from "./raw_peer.ts";
import type { Address } from "../../protocol/address.ts";
import {
  CHAT_KIND,
  type ChatMessage,
  chatMessageLimit,
  decodeChat,
  encodeChat,
} from "../../protocol/chat.ts";
import { concatBytes } from "../../protocol/bytes.ts";
import type { ByteStream, ResetCode } from "../../protocol/connection.ts";
import { type Line, signedBytes } from "../../protocol/line.ts";
import { type LineSigner, signingKeyOf } from "../../protocol/line_signature.ts";
import { type KeyedMember, newInstance } from "../../protocol/member.ts";
import { generateKeyPair, type KeyPair } from "../../protocol/noise.ts";
import type { Session } from "../../peer/session.ts";
import { MessageReader } from "../../transfer/message_reader.ts";

/** Milliseconds after which what a test waits for will not come any more. */
const DEADLINE_MS = 20_000;

export interface RawMemberOptions {
  name?: string;
  identity?: KeyPair;
  /** As which it comes to several. Default: a new one. */
  instance?: Uint8Array;
  /** Whether what comes is read at all. Default: yes. */
  reads?: boolean;
  /** The addresses that it tells of itself. */
  addresses?: Address[];
}

/** What somebody new begins a chat with, as bytes. */
export function beginning(name = "mallory", identity: KeyPair = generateKeyPair()): Uint8Array {
  const member = {
    instance: newInstance(Date.now(), crypto.getRandomValues(new Uint8Array(2))),
    signingKey: signingKeyOf(identity).publicKey,
    name,
    addresses: [],
    relay: undefined,
  };
  return concatBytes(
    encodeChat({ type: "member", member }),
    encodeChat({ type: "members", members: [] }),
    encodeChat({ type: "have", whole: true, logs: [] }),
  );
}

export class RawMember implements AsyncDisposable {
  readonly identity: KeyPair;
  readonly signer: LineSigner;
  readonly instance: Uint8Array;
  readonly name: string;
  /** Everything that the other side has said in the chat. */
  readonly received: ChatMessage[] = [];
  readonly #peer: RawPeer;
  readonly #stream: ByteStream;
  #changed = Promise.withResolvers<void>();
  #over = false;

  private constructor(peer: RawPeer, name: string, identity: KeyPair, instance: Uint8Array) {
    this.#peer = peer;
    this.name = name;
    this.identity = identity;
    this.signer = signingKeyOf(identity);
    this.instance = instance;
    this.#stream = peer.open(CHAT_KIND);
  }

  /** Joins the member that listens there, with what each side begins with. */
  static async join(address: string, options: RawMemberOptions = {}): Promise<RawMember> {
    const { name = "mallory", identity = generateKeyPair(), reads = true, addresses = [] } =
      options;
    const instance = options.instance ??
      newInstance(Date.now(), crypto.getRandomValues(new Uint8Array(2)));
    const peer = await RawPeer.dial(address, name, identity);
    const member = new RawMember(peer, name, identity, instance);
    if (reads) member.#read();
    await member.send({ type: "member", member: member.record({ addresses }) });
    await member.send({ type: "members", members: [] });
    await member.send({ type: "have", whole: true, logs: [] });
    return member;
  }

  /** What it tells of itself, or with these changes. */
  record(changes: Partial<KeyedMember> = {}): KeyedMember {
    const { instance, name } = this;
    const { publicKey: key } = this.identity;
    const { publicKey: signingKey } = this.signer;
    return { key, instance, signingKey, name, addresses: [], relay: undefined, ...changes };
  }

  /** A line of its own, signed as it must be unless its signature is among the changes. */
  line(number: number, text: string, changes: Partial<Line> = {}): Line {
    const { instance, name } = this;
    const author = this.identity.publicKey;
    const time = Date.now();
    const unsigned = { author, instance, channel: 0 as const, number, time, name, text };
    const line = { ...unsigned, signature: new Uint8Array(64), ...changes };
    return { ...line, signature: changes.signature ?? this.signer.sign(signedBytes(line)) };
  }

  async send(message: ChatMessage): Promise<void> {
    await this.#stream.write(encodeChat(message));
  }

  /** Says a line of its own as it must be said. */
  async say(number: number, text: string): Promise<void> {
    await this.send({ type: "line", line: this.line(number, text), previous: number - 1 });
  }

  /** Sends bytes in the chat as they are. */
  async write(bytes: Uint8Array): Promise<void> {
    await this.#stream.write(bytes);
  }

  /** Breaks the chat off, and goes on with the session. */
  reset(code: ResetCode): void {
    this.#stream.reset(code);
  }

  /** For what is said beside the chat. */
  get session(): Session {
    return this.#peer.session;
  }

  /** The static key of whom it has joined. */
  get remoteKey(): Uint8Array {
    return this.#peer.connection.remoteKey;
  }

  /**
   * How the session ended: the error, or undefined.
   * @throws {Error} if it goes on
   */
  async ended(): Promise<Error | undefined> {
    const late = Promise.withResolvers<undefined>();
    const timer = setTimeout(() => late.resolve(undefined), DEADLINE_MS);
    const end = await Promise.race([this.#peer.session.ended, late.promise]);
    clearTimeout(timer);
    if (!end) throw new Error(`${this.name} is not sent away`);
    return end.error;
  }

  /**
   * Waits until something that was received fits.
   * @throws {Error} if the chat ends, or the time is over, without it
   */
  async hears<T>(look: (message: ChatMessage) => T | undefined, wanted: string): Promise<T> {
    const late = Promise.withResolvers<void>();
    const timer = setTimeout(() => late.resolve(undefined), DEADLINE_MS);
    const end = performance.now() + DEADLINE_MS;
    try {
      for (let looked = 0;; await Promise.race([this.#changed.promise, late.promise])) {
        for (; looked < this.received.length; looked++) {
          const found = look(this.received[looked]!);
          if (found !== undefined) return found;
        }
        if (this.#over || performance.now() >= end) throw new Error(`Did not come: ${wanted}`);
      }
    } finally {
      clearTimeout(timer);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#peer[Symbol.asyncDispose]();
  }

  async #read(): Promise<void> {
    const reader = new MessageReader(this.#stream, chatMessageLimit);
    try {
      for (let raw = await reader.read(); raw; raw = await reader.read()) {
        const message = decodeChat(raw);
        if (message) this.received.push(message);
        this.#wake();
      }
    } catch {
      // The session is over: `ended` tells how.
    }
    this.#over = true;
    this.#wake();
  }

  #wake(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }
}
