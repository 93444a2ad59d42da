/**
 * Being found by name: registers at a relay, stays registered however often the relay goes, and for
 * everybody who asks for us opens our end of a circuit, and of a straight way. Sessions do not
 * depend on it.
 *
 *     trying ──registered──▶ held ──lost──▶ trying (with patience)
 *       │ refused at the first try            held ──replaced──▶ over
 *       └──────────▶ over
 */
import { type Address, formatAddress, isLoopback, parseIpAddress } from "../protocol/address.ts";
import { type Clock, sleep } from "../protocol/clock.ts";
import type { Connection } from "../protocol/connection.ts";
import { P2pError, UnreachableError } from "../protocol/errors.ts";
import { CIRCUIT_WAIT_MS, DIAL_TIMEOUT_MS, TOKEN_LIFE_MS } from "../protocol/limits.ts";
import type { KeyPair } from "../protocol/noise.ts";
import type { Reach } from "../protocol/nat.ts";
import type { PeerInfo } from "../protocol/rendezvous.ts";
import { Backoff } from "./backoff.ts";
import { dialCircuit } from "./carrier/circuit.ts";
import { systemClock } from "./clock.ts";
import { Deadline } from "./deadline.ts";
import type { Dial } from "./dial_secure.ts";
import { lowerFirst } from "./lower_first.ts";
import type { NetworkChanges } from "./network_watch.ts";
import type { Output } from "./output.ts";
import { formatRelay, formatRelayWithKey, type Relay } from "./relay_address.ts";
import { RelayClient } from "./relay_client.ts";
import { RelayRefusal } from "./relay_refusal.ts";
import { shellWord } from "./shell_word.ts";
import type { OpenStraight } from "./straight.ts";
import { StraightTarget } from "./straight_target.ts";
import type { Trust } from "./trust.ts";

/** Circuits that wait for their other end at once: who asks for us cannot make us hold more. */
const MAX_OPENING = 32;

export interface RegistrationOptions {
  relay: Relay;
  /** The name to be found by. */
  name: string;
  identity: KeyPair;
  trust: Trust;
  /** Where we listen. */
  addresses: () => Address[];
  /** Opens ports to punch from. Default: nothing is punched. */
  openStraight?: OpenStraight | undefined;
  /** Tells of other networks. Default: nobody does. */
  network?: NetworkChanges | undefined;
  /** Takes our end of a circuit or a straight way, when the other is there. */
  take: (connection: Connection) => void;
  output: Pick<Output, "say" | "warn" | "event">;
  clock?: Clock | undefined;
  /** How the relay is reached. Default: over TCP. */
  dial?: Dial | undefined;
  random?: () => number;
  /** Whether it is over where the relay cannot be reached at once. Default: it is waited for. */
  needed?: boolean | undefined;
}

export class Registration implements AsyncDisposable {
  readonly #options: RegistrationOptions;
  readonly #clock: Clock;
  readonly #relay: string;
  readonly #backoff: Backoff;
  readonly #closing = new AbortController();
  /** The name that we want. */
  #name: string;
  #client: RelayClient | undefined;
  /** Whether a try has ended, however it did. */
  #tried = false;
  /** The name that the relay has given us last; it was told how to reach us under it. */
  #given: string | undefined;
  /** The sort of trouble that was told last, until all is well again. */
  #told: string | undefined;
  #opening = 0;
  #straight: StraightTarget | undefined;
  #introducedAt = -Infinity;
  #running: Promise<void> | undefined;

  constructor(options: RegistrationOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#relay = formatRelay(options.relay);
    this.#backoff = new Backoff(this.#clock, options.random);
    this.#name = options.name;
  }

  /**
   * Registers, and stays registered until it is closed or another takes its place.
   * @throws {P2pError} if the first try shows that no other would do better: the name or password
   *   is refused, the relay has another key, or is none; where it is needed, after any failure
   */
  run(): Promise<void> {
    this.#running ??= this.#run();
    return this.#running;
  }

  /** Whether somebody was introduced a short time ago, and may still try our addresses. */
  get introduced(): boolean {
    return this.#clock.now() - this.#introducedAt < TOKEN_LIFE_MS;
  }

  /** Takes another name; if that is refused, the one before stays. */
  async rename(name: string): Promise<void> {
    this.#name = name;
    // Without the relay there is nobody to ask: the next registration is under this name.
    if (this.#client) await this.#changeName(this.#client);
  }

  /** Leaves the relay: the name is free at once. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort(new UnreachableError("Registration ended"));
    await this.#client?.leave();
    await this.#running?.catch(() => {});
  }

  async #run(): Promise<void> {
    const { signal } = this.#closing;
    while (!signal.aborted) {
      try {
        await this.#hold();
      } catch (error) {
        if (signal.aborted) return;
        if (this.#isOver(error)) return;
        await sleep(this.#clock, this.#backoff.next(), signal).catch(() => {});
      }
    }
  }

  /** One control session, from its beginning to its end. */
  async #hold(): Promise<never> {
    const { relay, identity, trust, dial } = this.#options;
    const { signal } = this.#closing;
    this.#straight = this.#newStraight();
    const client = await RelayClient.connect({
      relay,
      identity,
      trust,
      dial,
      signal,
      clock: this.#clock,
    }).catch((error) => {
      this.#straight?.close();
      throw error;
    });
    let unsubscribe: (() => void) | undefined;
    try {
      await this.#register(client);
      this.#client = client;
      this.#backoff.succeeded();
      if (this.#name !== this.#given) await this.#changeName(client);
      this.#straight?.tell();
      unsubscribe = this.#options.network?.subscribe(() => client.check());
      for await (const each of client.introductions) this.#introduced(each, client);
      throw await client.ended;
    } finally {
      unsubscribe?.();
      this.#client = undefined;
      this.#straight?.close();
      await client.leave();
    }
  }

  async #changeName(client: RelayClient): Promise<void> {
    const name = this.#name;
    try {
      await this.#register(client);
    } catch (error) {
      if (!(error instanceof RelayRefusal)) return;
      // Yet another may have been asked for meanwhile.
      if (this.#name === name) this.#name = this.#given!;
      const why = lowerFirst(error.message);
      this.#options.output.warn(`Still ${this.#given} at the relay: ${why}`);
    }
  }

  async #register(client: RelayClient): Promise<void> {
    const name = this.#name;
    await this.#tellRelay(client, name, this.#straight?.reach);
    this.#tellRegistered(name);
  }

  async #tellRelay(client: RelayClient, name: string, reach: Reach | undefined): Promise<void> {
    await client.register(name, this.#candidates(client.address, await client.welcome), reach);
    this.#straight?.told(reach);
  }

  #newStraight(): StraightTarget | undefined {
    const { openStraight: open, relay, take } = this.#options;
    if (!open) return undefined;
    const register = async (reach: Reach) => {
      const [client, name] = [this.#client, this.#given];
      // Without a control session the next one tells it.
      if (client && name !== undefined) await this.#tellRelay(client, name, reach);
    };
    return new StraightTarget({ open, relay: relay.address, clock: this.#clock, register, take });
  }

  /**
   * Where we take connections: this machine's own addresses are of use where the relay is here, and
   * the one under which the relay sees us where it is not.
   */
  #candidates(relay: Address, seen: string): string[] {
    const here = isLoopback(relay.host);
    const addresses = this.#options.addresses().filter(({ host }) => here || !isLoopback(host));
    const [first] = addresses;
    const outside = parseIpAddress(seen);
    // Before those that are left out if there are many.
    if (first && outside && !here) addresses.splice(1, 0, { ...outside, port: first.port });
    return [...new Set(addresses.map(formatAddress))];
  }

  #introduced(info: PeerInfo, client: RelayClient): void {
    this.#introducedAt = this.#clock.now();
    this.#meet(info, client.address);
    this.#straight?.answer(info, client);
  }

  /** Opens our end of a circuit. Whoever asked needs it only if no other way is faster. */
  async #meet({ circuit: token }: PeerInfo, at: Address): Promise<void> {
    if (!token || this.#opening >= MAX_OPENING) return;
    this.#opening++;
    const ms = DIAL_TIMEOUT_MS + CIRCUIT_WAIT_MS;
    const late = new UnreachableError("Circuit not opened: nobody came");
    using deadline = new Deadline(this.#clock, this.#closing.signal, ms, late);
    try {
      await this.#open(token, at, deadline.signal);
    } catch (error) {
      // Who asked has come by another way, or says itself what went wrong.
      if (!(error instanceof P2pError)) throw error;
    } finally {
      this.#opening--;
    }
  }

  async #open(token: Uint8Array, at: Address, signal: AbortSignal): Promise<void> {
    const { relay, take, dial } = this.#options;
    const circuit = await dialCircuit({ relay: relay.address, at, token, signal, dial });
    const close = () => circuit.close();
    signal.addEventListener("abort", close);
    try {
      await circuit.join();
      take(circuit);
    } catch (error) {
      circuit.close();
      throw error;
    } finally {
      signal.removeEventListener("abort", close);
    }
  }

  #tellRegistered(name: string): void {
    const { output, relay: at } = this.#options;
    const relay = this.#relay;
    const again = name === this.#given;
    output.say(`Registered as ${name} at the relay ${relay}${again ? " again" : ""}`);
    const how = at.password === undefined ? "Anywhere" : "Anywhere, with the relay's password";
    if (!again) output.say(`${how}, run:`, `  ${connectCommand(name, at)}`);
    output.event("registered", { name, relay });
    this.#given = name;
    this.#tried = true;
    this.#told = undefined;
  }

  /**
   * Tells what went wrong, once.
   * @returns whether there is nothing left to try
   * @throws the error if it is the user's to mend
   */
  #isOver(error: unknown): boolean {
    if (!(error instanceof P2pError)) throw error;
    const first = !this.#tried;
    this.#tried = true;
    if (first && (this.#options.needed || !mayPass(error))) throw error;
    const { output } = this.#options;
    if (error instanceof RelayRefusal && error.replaced) {
      output.warn(
        `No more registered as ${this.#name} at the relay ${this.#relay}: ` +
          "another p2p with this key has taken its place",
      );
      return true;
    }
    const sort = `${error.code} ${mayPass(error)}`;
    if (sort !== this.#told) this.#tellTrouble(error);
    this.#told = sort;
    return false;
  }

  /** What can be tried is told where waiting alone does not help. */
  #tellTrouble(error: P2pError): void {
    const goal = this.#given === this.#name ? "back" : "registered";
    const hint = mayPass(error) || error.hint === undefined ? [] : [error.hint];
    this.#options.output.warn(
      `${error.message}; trying again until ${this.#name} is ${goal} there`,
      ...hint,
    );
  }
}

/** Whether the same may succeed later: the relay is away, full, or about to end. */
function mayPass(error: P2pError): boolean {
  if (error instanceof RelayRefusal) return !error.lasts;
  return error.code === "unreachable" || error.code === "refused";
}

/** What to run on the other machine. */
function connectCommand(name: string, at: Relay): string {
  const word = shellWord(name);
  const relay = formatRelayWithKey(at);
  if (name.startsWith("-")) return `p2p connect --relay ${relay} -- ${word}`;
  return `p2p connect ${word} --relay ${relay}`;
}
