/** Runs asynchronous tasks beside each other, a bounded number at once. */
export class Lanes {
  readonly #width: number;
  readonly #running = new Set<Promise<void>>();
  #failure: { error: unknown } | undefined;

  constructor(width: number) {
    this.#width = width;
  }

  /**
   * Starts a task as soon as there is a lane for it; resolves when it was started.
   * @throws what an earlier task failed with
   */
  async run(task: () => Promise<void>): Promise<void> {
    while (this.#running.size >= this.#width) await Promise.race(this.#running);
    if (this.#failure) throw this.#failure.error;
    const running: Promise<void> = task()
      .catch((error) => void (this.#failure ??= { error }))
      .finally(() => this.#running.delete(running));
    this.#running.add(running);
  }

  /** Resolves when nothing runs any more, even if a task failed. */
  async settled(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running);
  }

  /**
   * Resolves when all tasks are done.
   * @throws what the first failed with
   */
  async idle(): Promise<void> {
    await this.settled();
    if (this.#failure) throw this.#failure.error;
  }
}
