import { assert, assertEquals } from "@std/assert";
import { Allowance } from "../../relay/allowance.ts";

Deno.test("a source is allowed 512 bytes a minute", () => {
  const allowance = new Allowance();
  assert(allowance.take("a", 512, 0));
  assert(!allowance.take("a", 1, 59_999));
  assert(allowance.take("b", 300, 59_999));
  assert(!allowance.take("b", 213, 59_999));
  assert(allowance.take("b", 212, 59_999));
  assert(allowance.take("a", 512, 60_000));
});

Deno.test("what is more than the allowance is never allowed, and remembers nobody", () => {
  const allowance = new Allowance();
  assert(!allowance.take("a", 513, 0));
  assertEquals(allowance.size, 0);
});

Deno.test("a full table gives newcomers nothing, and those that it has the rest of theirs", () => {
  const allowance = new Allowance(2);
  assert(allowance.take("a", 10, 0));
  assert(allowance.take("b", 10, 30_000));
  assert(!allowance.take("c", 1, 59_999));
  assert(allowance.take("a", 10, 59_999));
  assert(allowance.take("c", 1, 60_000));
  assertEquals(allowance.size, 2);
  assert(!allowance.take("d", 1, 60_000));
});

Deno.test("what is forgotten leaves the table", () => {
  const allowance = new Allowance();
  for (let each = 0; each < 1_000; each++) allowance.take(`${each}`, 1, each);
  assertEquals(allowance.size, 1_000);
  allowance.take("now", 1, 120_000);
  assertEquals(allowance.size, 1);
});
