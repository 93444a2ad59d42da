/** Members that all have links with each other, and what must hold of the lines that they are shown. */
import { assertEquals } from "@std/assert";
import { MeshMember, type MeshMemberOptions } from "./mesh_member.ts";

/** Milliseconds in which the links between all members must be there. */
const LINKED_WITHIN_MS = 60_000;

/** Owns its members: all are ended with the test. */
export class Mesh implements AsyncDisposable {
  readonly members: MeshMember[];
  readonly #stack = new AsyncDisposableStack();

  private constructor(members: MeshMember[]) {
    this.members = members;
    for (const member of members) this.#stack.use(member);
  }

  /** Processes on this machine: the first listens, all others are told of nobody but the first. */
  static async of(names: readonly string[], options: MeshMemberOptions = {}): Promise<Mesh> {
    const mesh = new Mesh(names.map((name) => new MeshMember(name, options)));
    try {
      const [first, ...others] = mesh.members;
      const address = await first!.listen();
      await Promise.all(others.map((member) => member.listen("--peer", address)));
      await mesh.linked();
      return mesh;
    } catch (error) {
      await mesh[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Waits until each that runs has a link with every other that runs. */
  async linked(deadlineMs = LINKED_WITHIN_MS): Promise<void> {
    const running = this.members.filter((member) => member.running);
    await Promise.all(running.map((member) => {
      const others = running.filter((other) => other !== member).map(({ name }) => name);
      return member.linkedTo(others, deadlineMs);
    }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}

/** What tests have members say: who, in which of its runs, and the how many-eth, from 1 on. */
export function numberedLine(member: MeshMember, number: number): string {
  return `${member.name} ${member.runs} ${number}`;
}

/**
 * Each line came once, and those of one run of one author in the order in which they were said;
 * also over all runs of whoever was shown them.
 */
export function assertOnceInOrder(member: MeshMember): void {
  const last = new Map<string, { number: number; text: string }>();
  const wrong: string[] = [];
  for (const { text, run } of member.heard) {
    const [, log, number] = /^(\S+ \d+) (\d+)$/.exec(text)!;
    const before = last.get(log!);
    if (before && Number(number) <= before.number) {
      wrong.push(`${text} after ${before.text} (in run ${run})`);
    }
    last.set(log!, { number: Number(number), text });
  }
  assertEquals(wrong, [], `${member.name} was shown lines twice or out of order`);
  const ids = member.heard.map(({ id }) => id);
  assertEquals(new Set(ids).size, ids.length, `${member.name} was shown an id twice`);
}
