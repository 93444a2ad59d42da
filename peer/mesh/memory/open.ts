/** Opens what a mesh remembers; whatever is wrong with it, the chat goes on, and says so once. */
import type { Clock } from "../../../protocol/clock.ts";
import type { FileError } from "../../../protocol/errors.ts";
import { systemClock } from "../../clock.ts";
import { dataFolder } from "../../folders.ts";
import { type MeshBatch, type MeshMemory, NO_MEMORY, type Remembered } from "./memory.ts";
import { MeshStore } from "./store.ts";
import type { Output } from "../../output.ts";

/** Milliseconds until the store is swept, and swept again. */
const SWEEP_MS = 60_000;

export interface MeshMemoryOptions {
  /** The public key of this user's identity. */
  key: Uint8Array;
  /** Whether nothing that is said is kept, as `--no-history` says. */
  noHistory: boolean;
  output: Pick<Output, "warn">;
  /** Default: the folder for data of this user. */
  folder?: string;
  clock?: Clock;
  /** The time, but in tests. */
  now?: () => number;
}

/** The memory of this program: the first file that no other has. Never fails. */
export async function openMeshMemory(options: MeshMemoryOptions): Promise<MeshMemory> {
  const { key, noHistory, output, clock = systemClock, now = Date.now } = options;
  const keepLines = !noHistory && Deno.env.get("P2P_NO_HISTORY") !== "1";
  try {
    const folder = options.folder ?? dataFolder((variable) => Deno.env.get(variable));
    return new StoredMemory(await MeshStore.open(folder, { key, keepLines, now }), output, clock);
  } catch (error) {
    tell(output, error);
    return NO_MEMORY;
  }
}

/** A store, as long as nothing is wrong with it. */
class StoredMemory implements MeshMemory {
  #store: MeshStore | undefined;
  readonly #output: Pick<Output, "warn">;
  readonly #clock: Clock;
  #cancelSweep: () => void;

  constructor(store: MeshStore, output: Pick<Output, "warn">, clock: Clock) {
    this.#store = store;
    this.#output = output;
    this.#clock = clock;
    this.#cancelSweep = clock.after(SWEEP_MS, () => this.#sweep());
  }

  restore(): Remembered {
    return this.#try((store) => store.restore()) ?? NO_MEMORY.restore();
  }

  write(batch: MeshBatch): void {
    this.#try((store) => store.write(batch));
  }

  close(): void {
    this.#cancelSweep();
    this.#store?.[Symbol.dispose]();
    this.#store = undefined;
  }

  #sweep(): void {
    this.#cancelSweep = this.#clock.after(SWEEP_MS, () => this.#sweep());
    this.#try((store) => store.sweep());
  }

  #try<Result>(work: (store: MeshStore) => Result): Result | undefined {
    try {
      return this.#store && work(this.#store);
    } catch (error) {
      this.close();
      tell(this.#output, error);
    }
  }
}

function tell(output: Pick<Output, "warn">, error: unknown): void {
  const { message, hint } = error as FileError;
  output.warn(
    `The chat goes on, but its last hour would not survive a restart. ${message}`,
    ...(hint ? [hint] : []),
  );
}
