import { assert, assertEquals, assertRejects } from "@std/assert";
import { KnownPeers } from "../../peer/known_peers.ts";
import { Trust } from "../../peer/trust.ts";
import { IdentityError } from "../../protocol/errors.ts";

const keyA = new Uint8Array(32).fill(0xaa);
const keyB = new Uint8Array(32).fill(0xbb);

async function withTrust(test: (trust: Trust, known: KnownPeers) => Promise<void>) {
  const folder = await Deno.makeTempDir();
  try {
    const known = new KnownPeers(folder);
    await test(new Trust(known), known);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("Trust.admit() remembers name and address, and knows both again", () =>
  withTrust(async (trust, known) => {
    await trust.admit("bob", keyA, "1.2.3.4:8080");
    assertEquals((await known.entries()).map((each) => each.name), ["bob", "1.2.3.4:8080"]);
    await trust.admit("bob", keyA, "1.2.3.4:8080");
    await trust.check("1.2.3.4:8080", keyA);
    assertEquals((await known.entries()).length, 2);
  }));

Deno.test("Trust.admit() refuses another key under a known name, and writes nothing", () =>
  withTrust(async (trust, known) => {
    await trust.admit("bob", keyA);
    const error = await assertRejects(() => trust.admit("bob", keyB, "1.2.3.4:1"), IdentityError);
    assert(/THE KEY OF bob HAS CHANGED/.test((error as IdentityError).message));
    assertEquals((await known.entries()).map((each) => each.key), [keyA]);
  }));

Deno.test("Trust.check() refuses another key at a known address, and takes any at a new one", () =>
  withTrust(async (trust, known) => {
    await trust.admit("bob", keyA, "1.2.3.4:8080");
    await trust.check("1.2.3.4:8081", keyB);
    await assertRejects(() => trust.check("1.2.3.4:8080", keyB), IdentityError);
    assertEquals((await known.entries()).length, 2);
  }));

Deno.test("Trust.admit() lets one of two strangers have a name, when both come with it at once", () =>
  withTrust(async (trust, known) => {
    const outcomes = await Promise.allSettled([trust.admit("bob", keyA), trust.admit("bob", keyB)]);
    assertEquals(outcomes.map((each) => each.status).sort(), ["fulfilled", "rejected"]);
    const refused = outcomes.find((each) => each.status === "rejected") as PromiseRejectedResult;
    assert(refused.reason instanceof IdentityError);
    assertEquals((await known.entries()).length, 1);
  }));
