/** Runs asynchronous tasks beside each other, a bounded number at once. */
export class Lanes {
  readonly #width: number;
  #running = 0;
  /** Resolved by the next task that ends. */
  #ended: PromiseWithResolvers<void> | undefined;
  #failure: { error: unknown } | undefined;

  constructor(width: number) {
    this.#width = width;
  }

  /**
   * Starts a task as soon as there is a lane for it; resolves when it was started.
   * @throws what an earlier task failed with, when nothing runs any more
   */
  async run(task: () => Promise<void>): Promise<void> {
    while (this.#running >= this.#width) await this.#nextEnd();
    if (this.#failure) await this.idle();
    this.#running++;
    this.#finish(task());
  }

  /** Resolves when nothing runs any more, even if a task failed. */
  async settled(): Promise<void> {
    while (this.#running > 0) await this.#nextEnd();
  }

  /**
   * Resolves when all tasks are done.
   * @throws what the first failed with
   */
  async idle(): Promise<void> {
    await this.settled();
    if (this.#failure) throw this.#failure.error;
  }

  #nextEnd(): Promise<void> {
    this.#ended ??= Promise.withResolvers();
    return this.#ended.promise;
  }

  async #finish(task: Promise<void>): Promise<void> {
    try {
      await task;
    } catch (error) {
      this.#failure ??= { error };
    }
    this.#running--;
    this.#ended?.resolve();
    this.#ended = undefined;
  }
}
