import { assert, assertEquals } from "@std/assert";
import { QuickAnswers } from "../../protocol/quick_answers.ts";

/** Asks, and is answered; returns whether that was expected at once. */
class Exchange {
  readonly answers = new QuickAnswers();
  now = 0;

  trip(ms: number, { asked = 100, answered = 100 } = {}): boolean {
    const expected = this.answers.wrote(asked, this.now);
    this.now += ms;
    this.answers.heard(answered, this.now);
    return expected;
  }

  /** How many of so many trips were expected at once. */
  trips(count: number, ms: number, sizes = {}): number {
    let expected = 0;
    for (let trip = 0; trip < count; trip++) if (this.trip(ms, sizes)) expected++;
    return expected;
  }
}

Deno.test("Quick answers: expected when enough of them came in a row", () => {
  const exchange = new Exchange();
  assertEquals(exchange.trips(16, 0.1), 0);
  assertEquals(exchange.trips(1_000, 0.1), 1_000);
});

Deno.test("Quick answers: not expected of people, of far machines, nor of what carries files", () => {
  assertEquals(new Exchange().trips(1_000, 1_500), 0);
  assertEquals(new Exchange().trips(1_000, 0.4), 0);
  assertEquals(new Exchange().trips(1_000, 0.1, { asked: 60_000 }), 0);
  assertEquals(new Exchange().trips(1_000, 0.1, { answered: 60_000 }), 0);
});

Deno.test("Quick answers: one in twenty may be late", () => {
  const exchange = new Exchange();
  exchange.trips(40, 0.1);
  let expected = 0;
  for (let round = 0; round < 100; round++) {
    expected += exchange.trips(19, 0.1) + exchange.trips(1, 1);
  }
  assertEquals(expected, 2_000);
});

Deno.test("Quick answers: soon no longer expected when they are late, or one side sends much", () => {
  const exchange = new Exchange();
  exchange.trips(100, 0.1);
  assertEquals(exchange.trips(100, 1), 5);
  assertEquals(exchange.trips(16, 0.1), 0);
  assert(exchange.trip(0.1));
  exchange.answers.wrote(60_000, exchange.now);
  assertEquals(exchange.trips(16, 0.1), 0);
});

Deno.test("Quick answers: the time counts from the first of several questions", () => {
  const exchange = new Exchange();
  exchange.trips(15, 0.1);
  exchange.answers.wrote(100, exchange.now);
  exchange.now += 0.2;
  assert(!exchange.trip(0.1));
  assert(!exchange.trip(0.1));
});

Deno.test("Quick answers: what comes unasked is no answer", () => {
  const answers = new QuickAnswers();
  for (let message = 0; message < 100; message++) answers.heard(100, message);
  assert(!answers.wrote(100, 200));
});
