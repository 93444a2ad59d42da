/** Tells when this machine's addresses change: another network, a cable, a sleep. */
import type { Clock } from "../protocol/clock.ts";
import { networkInterfaces } from "./interfaces.ts";

/** Milliseconds between two looks: no system tells a program of it in the same way. */
const LOOK_MS = 2_000;

/** Whoever wants to be told. */
export interface NetworkChanges {
  /** Calls `told` after every change; the returned function ends that. */
  subscribe(told: () => void): () => void;
}

export class NetworkWatch implements NetworkChanges {
  readonly #clock: Clock;
  readonly #addresses: () => string[];
  readonly #told = new Set<() => void>();
  #known = "";
  #cancel = () => {};

  /** @param addresses this machine's, in any order */
  constructor(clock: Clock, addresses: () => string[] = ownAddresses) {
    this.#clock = clock;
    this.#addresses = addresses;
  }

  subscribe(told: () => void): () => void {
    if (this.#told.size === 0) this.#begin();
    this.#told.add(told);
    return () => {
      this.#told.delete(told);
      if (this.#told.size === 0) this.#cancel();
    };
  }

  #begin(): void {
    this.#known = this.#look();
    this.#wait();
  }

  #wait(): void {
    this.#cancel = this.#clock.after(LOOK_MS, () => {
      const now = this.#look();
      // A machine has one address at least, its loopback's: without any it could not be told.
      const changed = now !== "" && now !== this.#known;
      if (changed) this.#known = now;
      if (changed) { for (const told of this.#told) told(); }
      if (this.#told.size > 0) this.#wait();
    });
  }

  #look(): string {
    return this.#addresses().sort().join(" ");
  }
}

function ownAddresses(): string[] {
  return networkInterfaces().map(({ name, address }) => `${name} ${address}`);
}
