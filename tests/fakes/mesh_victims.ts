/** Members that an attacker comes to, and what must hold of them whatever it does. */
import { assertLess } from "@std/assert";
import { Mesh } from "./mesh.ts";
import type { MeshMember } from "./mesh_member.ts";

/** Milliseconds within which a line reaches others though somebody means harm. */
const PROMPTLY_MS = 1_000;
const MAX_MEMORY_MB = 250;
/** Rounds of lines between the good while the bad does what it does. */
const ROUNDS = 20;

/** Alice, whom mallory comes to, and bob. */
export class MeshVictims implements AsyncDisposable {
  readonly mesh: Mesh;
  readonly alice: MeshMember;
  readonly bob: MeshMember;
  #rounds = 0;

  private constructor(mesh: Mesh) {
    this.mesh = mesh;
    [this.alice, this.bob] = mesh.members as [MeshMember, MeshMember];
  }

  static async start(names: readonly string[] = []): Promise<MeshVictims> {
    return new MeshVictims(await Mesh.of(["alice", "bob", ...names]));
  }

  /** Each says something to the other, in turns. @returns milliseconds that each line took */
  async talk(rounds = 1): Promise<number[]> {
    const took: number[] = [];
    for (let round = 0; round < rounds; round++) {
      this.#rounds++;
      took.push(
        await this.#crosses(this.alice, this.bob),
        await this.#crosses(this.bob, this.alice),
      );
    }
    return took;
  }

  /** They still hear each other, promptly, and use no more memory than they should. */
  async assertUnharmed(): Promise<void> {
    assertLess(Math.max(...await this.talk(ROUNDS)), PROMPTLY_MS);
    for (const { peak, name } of this.memory()) assertLess(peak, MAX_MEMORY_MB, name);
  }

  /** Where it can be told: on Linux. */
  memory(): { name: string; peak: number }[] {
    if (Deno.build.os !== "linux") return [];
    return this.mesh.members.filter((member) => member.running)
      .map((member) => ({ name: member.name, peak: member.peakMemory() }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.mesh[Symbol.asyncDispose]();
  }

  async #crosses(from: MeshMember, to: MeshMember): Promise<number> {
    const text = `${from.name} still hears you, ${this.#rounds}`;
    const said = performance.now();
    await from.say(text);
    await to.hears(text);
    return performance.now() - said;
  }
}
