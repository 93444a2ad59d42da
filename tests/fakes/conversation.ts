/** What members say to each other, and how long it takes until all others are shown it. */
import { numberedLine } from "./mesh.ts";
import type { MeshMember } from "./mesh_member.ts";

/** Milliseconds in which everything that was said must have been shown to all. */
const SHOWN_WITHIN_MS = 120_000;

export class Conversation {
  readonly #members: readonly MeshMember[];
  /** When each line was typed. */
  readonly #said = new Map<string, number>();
  readonly #counts = new Map<MeshMember, number>();
  /** How many lines each had been shown when what is measured began. */
  #from = 0;
  #began = 0;

  /** @param members who talk, and have talked with nobody yet */
  constructor(members: readonly MeshMember[]) {
    this.#members = members;
  }

  /** All that was said, in the order in which it was typed. */
  get said(): string[] {
    return [...this.#said.keys()];
  }

  /**
   * One says a line after the other, in turns, with pauses between them.
   * @returns the milliseconds from typed to shown, of each line at each other member
   */
  async inTurns(lines: number, pauseMs: number): Promise<number[]> {
    this.#begin();
    for (let spoken = 0; spoken < lines; spoken++) {
      await this.#say(this.#members[spoken % this.#members.length]!, 1);
      // The pace of what is measured, not a wait for anything.
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
    return await this.#latencies();
  }

  /** All say so many lines at once. @returns as `inTurns`, and the seconds that all took */
  async allAtOnce(lines: number): Promise<{ latencies: number[]; seconds: number }> {
    this.#begin();
    await Promise.all(this.#members.map((member) => this.#say(member, lines)));
    const latencies = await this.#latencies();
    return { latencies, seconds: (performance.now() - this.#began) / 1_000 };
  }

  #begin(): void {
    this.#from = this.#members[0]!.heard.length;
    this.#began = performance.now();
  }

  async #say(member: MeshMember, count: number): Promise<void> {
    const before = this.#counts.get(member) ?? 0;
    this.#counts.set(member, before + count);
    const lines = Array.from({ length: count }, (_, n) => numberedLine(member, before + n + 1));
    for (const line of lines) this.#said.set(line, performance.now());
    await member.say(...lines);
  }

  /** Waits until all have been shown all that others have said. */
  async #latencies(): Promise<number[]> {
    await Promise.all(this.#members.map((member) => {
      const count = this.#said.size - (this.#counts.get(member) ?? 0);
      const wanted = `${count} lines`;
      return member.until(() => member.heard.length >= count, wanted, SHOWN_WITHIN_MS);
    }));
    return this.#members.flatMap(({ heard }) => {
      return heard.slice(this.#from).map(({ text, at }) => at - this.#said.get(text)!);
    });
  }
}
