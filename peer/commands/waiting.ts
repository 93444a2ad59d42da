/**
 * The side that waits for peers: it listens, is registered at a relay if there is one, announces
 * itself on the network if it is to, and takes in whoever comes. `listen` is this; `punch` may visit somebody meanwhile.
 */
import { P2pError } from "../../protocol/errors.ts";
import { GoodbyeCode } from "../../protocol/session_frame.ts";
import { Announcing } from "../announcing.ts";
import { MulticastSocket } from "../carrier/multicast_socket.ts";
import { systemClock } from "../clock.ts";
import type { Host } from "../host.ts";
import { Listener } from "../listener.ts";
import type { Output } from "../output.ts";
import { Receiving, type ReceivingOptions } from "../receiving.ts";
import { Registration } from "../registration.ts";
import type { Relay } from "../relay_address.ts";
import { Room, type Visit } from "../room.ts";
import { ownRelay } from "../named_routes.ts";
import { shellWord } from "../shell_word.ts";
import { systemStraight } from "../straight.ts";
import type { Screen } from "../terminal/screen.ts";

export interface WaitingOptions extends ReceivingOptions {
  /** The address to listen on; undefined: all of this machine's. */
  host?: string | undefined;
  /** 0 picks a free one. */
  port: number;
  relay?: Relay | undefined;
  /** Whether who comes by name is to come through the relay. */
  relayOnly?: boolean;
  /** Whether to tell everybody on our networks. */
  announce?: boolean;
  /**
   * Whether there is no use in waiting where the relay cannot be reached at once ("needed"), or it
   * goes on without a relay that does not want us ("optional").
   */
  relayIs?: "needed" | "optional" | undefined;
}

export class Waiting implements AsyncDisposable {
  readonly room: Room;
  readonly listener: Listener;
  readonly #host: Host;
  readonly #registration: Registration | undefined;
  readonly #options: WaitingOptions;
  #announcing: Announcing | undefined;

  /**
   * Begins to listen.
   * @throws as `Listener` and `Receiving`
   */
  constructor(host: Host, screen: Screen, options: WaitingOptions) {
    this.#host = host;
    this.#options = options;
    this.room = new Room(host, new Receiving(host, screen, options));
    this.listener = new Listener({
      host: options.host,
      port: options.port,
      identity: host.identity,
      name: () => host.name,
      admit: (name, key) => this.room.admit(name, key),
      onRefused: (remote, error) => this.#refused(remote, error),
    });
    this.#registration = options.relay && this.#registrationAt(options.relay, options);
    this.room.mesh.reachableAt({
      addresses: () => options.relayOnly ? [] : this.listener.addresses,
      relay: options.relay && ownRelay(host, options.relay, options.relayOnly),
      registered: options.relay !== undefined,
      relayOnly: options.relayOnly ?? false,
    });
    this.room.onRenamed = (name) => {
      this.#registration?.rename(name);
      this.#announcing?.rename(name);
    };
  }

  /**
   * Takes peers in until it is closed, or the user ends it; then waits for what is under way, and
   * says goodbye.
   * @param once whether the first complete visit closes it
   * @throws {P2pError} if the relay does not want us, or the network cannot be told of us
   * @throws the signal's reason, if it is the user who ends it
   */
  async serve(once: boolean): Promise<void> {
    const registered = this.#keepRegistered();
    const announced = this.#announce();
    await this.#takeIn(once);
    const refused = await registered ?? await announced;
    this.#host.signal.throwIfAborted();
    if (refused !== undefined) throw refused;
  }

  /** Takes nobody in any more: `serve` comes to its end. Idempotent. */
  close(): void {
    this.listener.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.listener[Symbol.asyncDispose]();
  }

  /**
   * Announces us, if it is to, until nobody is taken in any more.
   * @returns why that is not possible, or undefined
   */
  async #announce(): Promise<unknown> {
    if (!this.#options.announce) return undefined;
    const { name, identity, network } = this.#host;
    try {
      const announcing = await Announcing.begin({
        name,
        key: identity.publicKey,
        port: this.listener.port,
        host: this.#options.host,
        clock: systemClock,
        network,
        open: MulticastSocket.open,
      });
      this.#announcing = announcing;
      // What was typed meanwhile may have changed it.
      if (this.#host.name !== name) await announcing.rename(this.#host.name);
      this.#tellAnnounced();
      await this.listener.closed;
      await announcing[Symbol.asyncDispose]();
      return undefined;
    } catch (error) {
      this.close();
      return error;
    }
  }

  #tellAnnounced(): void {
    const { name, output } = this.#host;
    const connect = `p2p connect ${name.startsWith("-") ? "-- " : ""}${shellWord(name)}`;
    output.say("Announced on this network; there, run:", `  ${connect}`);
    output.event("announced", { name });
  }

  #registrationAt(relay: Relay, { relayIs, relayOnly }: WaitingOptions): Registration {
    const { name, identity, trust, output } = this.#host;
    return new Registration({
      relay,
      name,
      identity,
      trust,
      // Who visits somebody is found as well, but does not wait for it.
      output: relayIs === "optional" ? this.#quietOutput : output,
      needed: relayIs === "needed",
      openStraight: relayOnly ? undefined : systemStraight(systemClock),
      network: this.#host.network,
      addresses: () => relayOnly ? [] : this.listener.addresses,
      take: (connection) => this.listener.take(connection),
    });
  }

  /**
   * For a relay that is optional: warnings alone, and those when somebody is here. Where nobody can
   * be reached, whoever looks for them says why.
   */
  get #quietOutput(): Pick<Output, "say" | "warn" | "event"> {
    const { output } = this.#host;
    return {
      say: () => {},
      warn: (...lines) => void this.room.mesh.arrival.then(() => output.warn(...lines)),
      event: (name, fields) => output.event(name, fields),
    };
  }

  /**
   * Stays registered as long as it is listened: that ends if the relay does not want us.
   * @returns why it does not, or undefined
   */
  async #keepRegistered(): Promise<unknown> {
    const registration = this.#registration;
    if (!registration) return undefined;
    this.listener.closed.then(() => registration[Symbol.asyncDispose]());
    try {
      return await registration.run();
    } catch (error) {
      if (this.#options.relayIs === "optional" && error instanceof P2pError) {
        this.#quietOutput.warn(`Not to be found at the relay: ${error.message}`);
        return undefined;
      }
      this.close();
      return error;
    }
  }

  async #takeIn(once: boolean): Promise<void> {
    const { signal } = this.#host;
    const interrupted = Promise.withResolvers<void>();
    const end = () => {
      this.close();
      interrupted.resolve();
    };
    signal.addEventListener("abort", end);
    for await (const session of this.listener.sessions) {
      this.room.enter(session, false).then((visit) => {
        if (once && isComplete(visit)) this.close();
      });
    }
    // A peer that takes nothing, or sends without end, must not keep the user from ending it.
    if (!signal.aborted) await Promise.race([this.room.settle(), interrupted.promise]);
    await this.room.close(signal.aborted ? GoodbyeCode.interrupted : GoodbyeCode.done);
    signal.removeEventListener("abort", end);
  }

  #refused(remote: string, error: P2pError): void {
    // Whoever was sent away may come as often as they like: that is no news.
    if (error.code === "refused") return;
    // Who was introduced, or has heard us announce them, tries all our addresses at once, and keeps
    // one connection.
    const told = this.#registration?.introduced || this.#options.announce;
    const tries = told && error.code === "unreachable";
    if (!tries) tellRefused(this.#host.output, remote, error);
  }
}

/**
 * A visit that came to nothing does not count; one that broke off does if it had brought what it
 * came for.
 */
function isComplete({ peer, end, received }: Visit): boolean {
  return received || (peer.here && end.error === undefined);
}

function tellRefused(output: Output, remote: string, error: P2pError): void {
  if (error.code === "identity") output.warn(error.message, error.hint ?? "");
  else output.say(`Connection from ${remote} came to nothing: ${error.message}`);
}
