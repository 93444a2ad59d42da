import { assert, assertEquals } from "@std/assert";
import { LineNames } from "../../../peer/mesh/line_names.ts";

const KEY = new Uint8Array(32).fill(1);
const ANOTHER = new Uint8Array(32).fill(2);
const LINE = { author: KEY, name: "bob" };

/** What is known, answered when the test says so. */
class Known {
  keys: Uint8Array[] = [];
  asked = 0;
  #held: PromiseWithResolvers<void> | undefined;

  /** From now on answers wait. @returns lets them come */
  hold(): () => void {
    this.#held = Promise.withResolvers();
    return this.#held.resolve;
  }

  async keysOf(): Promise<Uint8Array[]> {
    this.asked++;
    await this.#held?.promise;
    return this.keys;
  }
}

Deno.test("a name that was never seen is looked up first", async () => {
  const known = new Known();
  known.keys = [ANOTHER];
  const names = new LineNames(known);
  const looking = names.look(LINE);
  assert(looking);
  await looking;
  assert(names.isAnothers(LINE));
  assertEquals(names.look(LINE), undefined);
  assertEquals(known.asked, 1);
});

Deno.test("nobody waits while a name is looked up again, once, and what it brings counts", async () => {
  const known = new Known();
  const names = new LineNames(known);
  await names.look(LINE);
  names.forget();
  known.keys = [ANOTHER];
  const answer = known.hold();
  for (let line = 0; line < 3; line++) assertEquals(names.look(LINE), undefined);
  assertEquals(known.asked, 2);
  assert(!names.isAnothers(LINE));
  answer();
  await known.keysOf();
  await Promise.resolve();
  assert(names.isAnothers(LINE));
});
