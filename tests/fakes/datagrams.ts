/** A UDP socket in memory: what comes in is the test's, and what goes out is there to be looked at. */
import { type Address, parseIpAddress } from "../../protocol/address.ts";
import { formatAddress } from "../../protocol/address.ts";
import type { Datagrams } from "../../relay/host.ts";
import { settled } from "./clock.ts";

interface Arrival {
  bytes: Uint8Array;
  from: Address;
}

export class FakeDatagrams implements Datagrams {
  readonly address: Address;
  readonly #waiting: Arrival[] = [];
  #wake: PromiseWithResolvers<void> | undefined;
  #closed = false;
  /** What was sent and not yet taken. */
  #sent: { to: string; bytes: Uint8Array }[] = [];
  /** Bytes that were brought by each IP address, and sent to it, ever. */
  readonly brought = new Map<string, number>();
  readonly given = new Map<string, number>();

  /** @param address what it is bound to */
  constructor(address: Address = { host: "::", port: 8_080 }) {
    this.address = address;
  }

  async receive(): Promise<Arrival | null> {
    for (;;) {
      const next = this.#waiting.shift();
      if (next) return next;
      if (this.#closed) return null;
      this.#wake ??= Promise.withResolvers();
      await this.#wake.promise;
    }
  }

  send(bytes: Uint8Array, to: Address): Promise<void> {
    this.#sent.push({ to: formatAddress(to), bytes: bytes.slice() });
    add(this.given, to.host, bytes.length);
    return Promise.resolve();
  }

  close(): void {
    this.#closed = true;
    this.#awake();
  }

  /**
   * A datagram comes from there.
   * @param from "1.2.3.4:5678"
   */
  comes(from: string, content: string | Uint8Array): void {
    const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
    const address = parseIpAddress(from)!;
    add(this.brought, address.host, bytes.length);
    this.#waiting.push({ bytes, from: address });
    this.#awake();
  }

  /** Lets datagrams come from there; resolves to what was answered, as "address text". */
  async says(from: string, ...contents: (string | Uint8Array)[]): Promise<string[]> {
    for (const content of contents) this.comes(from, content);
    return await this.answers();
  }

  /** What was sent since it was last asked for, as "address text". */
  async answers(): Promise<string[]> {
    await settled();
    return this.takeSent().map(({ to, bytes }) => `${to} ${new TextDecoder().decode(bytes)}`);
  }

  takeSent(): { to: string; bytes: Uint8Array }[] {
    const sent = this.#sent;
    this.#sent = [];
    return sent;
  }

  #awake(): void {
    this.#wake?.resolve();
    this.#wake = undefined;
  }
}

function add(sums: Map<string, number>, key: string, count: number): void {
  sums.set(key, (sums.get(key) ?? 0) + count);
}
