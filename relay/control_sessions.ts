/** All control sessions of a relay: from their handshake on, and what befalls all of them. */
import type { Connection } from "../protocol/connection.ts";
import type { ReceiveBuffer } from "../protocol/framing.ts";
import { RELAY_PREFACE } from "../protocol/preface.ts";
import { secureResponder } from "../protocol/secure.ts";
import type { Circuits } from "./circuits.ts";
import type { RelayContext } from "./context.ts";
import { ControlClient } from "./control.ts";
import { Reintroductions } from "./reintroductions.ts";

/** Milliseconds between two looks for clients that are silent for too long: no timer for each. */
const SWEEP_MS = 1_000;

export class ControlSessions {
  readonly #context: RelayContext;
  readonly #circuits: Circuits;
  readonly #reintroductions = new Reintroductions();
  readonly #clients = new Set<ControlClient>();
  #cancelSweep = () => {};

  constructor(context: RelayContext, circuits: Circuits) {
    this.#context = context;
    this.#circuits = circuits;
    context.draining.addEventListener("abort", () => this.#drain(), { once: true });
  }

  /**
   * Serves a client from its handshake until its connection is closed.
   * @param received what was already read, its preface line included
   * @param onGreeted called when it has been let in
   * @throws {P2pError} if the handshake fails
   */
  async serve(
    connection: Connection,
    received: ReceiveBuffer,
    onGreeted: () => void,
  ): Promise<void> {
    const { identity, clock, limits } = this.#context;
    const secure = await secureResponder(connection, received, {
      identity,
      clock,
      preface: RELAY_PREFACE,
      maxRecordBytes: limits.maxMessageBytes,
    });
    const options = {
      context: this.#context,
      circuits: this.#circuits,
      reintroductions: this.#reintroductions,
      onGreeted,
    };
    const client = new ControlClient(secure, connection.remote, options);
    this.#add(client);
    return client.serve().finally(() => this.#remove(client));
  }

  #add(client: ControlClient): void {
    this.#clients.add(client);
    if (this.#clients.size === 1) this.#sweepLater();
  }

  #remove(client: ControlClient): void {
    this.#clients.delete(client);
    if (this.#clients.size === 0) this.#cancelSweep();
  }

  #sweepLater(): void {
    this.#cancelSweep = this.#context.clock.after(SWEEP_MS, () => {
      for (const client of this.#clients) client.checkAlive();
      this.#sweepLater();
    });
  }

  #drain(): void {
    for (const client of this.#clients) client.drain();
  }
}
