import { assert, assertEquals } from "@std/assert";
import type { StoredLine } from "../../protocol/line.ts";
import { LineLogs, type LogLimits } from "../../protocol/line_logs.ts";
import { newInstance } from "../../protocol/member.ts";
import { fakeKey } from "../fakes/chat_mesh.ts";
import { join, line, Now, part, positions, rig, START, whole } from "../fakes/replica_rig.ts";

/** Logs, in which somebody answers for each author: by number, itself unless another is named. */
class Shelf {
  readonly tellers = new Map<number, number>();
  readonly forgotten: number[] = [];
  readonly logs: LineLogs;
  now = 1_000;

  constructor(limits: Partial<LogLimits>) {
    this.logs = new LineLogs(limits, {
      shareOf: (author) => {
        const number = Number.parseInt(author.slice(0, 2), 16);
        return fakeKey(this.tellers.get(number) ?? number).toHex();
      },
      forgotten: (log) => this.forgotten.push(log.author[0]!),
    });
  }

  #id(author: number, run: number) {
    const instance = newInstance(run, Uint8Array.of(0, author));
    return { author: fakeKey(author), instance, channel: 0 as const };
  }

  log(author: number, run = 1) {
    return this.logs.ensure(this.#id(author, run), ++this.now);
  }

  append(author: number, text = "", run = 1): void {
    const log = this.log(author, run);
    const number = (log.position ?? 0) + 1;
    const said = { ...this.#id(author, run), number, name: "", text, time: this.now };
    const line: StoredLine = { ...said, receivedAt: this.now, signature: new Uint8Array(64) };
    this.logs.append(log, line);
  }

  /** How many lines there are of an author. */
  lines(author: number, run = 1): number {
    return this.log(author, run).size;
  }

  meet(author: number): void {
    this.tellers.delete(author);
    this.logs.moveShare(fakeKey(author).toHex());
  }
}

Deno.test("LineLogs: authors that one member tells of have one share with it", () => {
  const shelf = new Shelf({ lines: 60 });
  for (let i = 0; i < 20; i++) shelf.append(1);
  for (let author = 100; author < 164; author++) {
    shelf.tellers.set(author, 2);
    for (let i = 0; i < 3; i++) shelf.append(author);
  }
  for (let i = 0; i < 10; i++) shelf.append(2);
  assertEquals(shelf.logs.kept.lines, 60);
  assertEquals(shelf.lines(1), 20);
});

Deno.test("LineLogs: so many bytes in a share, not of each author that is told of", () => {
  const shelf = new Shelf({ authorBytes: 10_000 });
  const text = "x".repeat(744);
  for (let i = 0; i < 10; i++) shelf.append(1, text);
  for (let author = 100; author < 164; author++) {
    shelf.tellers.set(author, 2);
    for (let i = 0; i < 5; i++) shelf.append(author, text);
  }
  assertEquals(shelf.lines(1), 10);
  assertEquals(shelf.logs.kept, { lines: 20, bytes: 20_000 });
});

Deno.test("LineLogs: in a share whoever has most gives way, and the line that just came stays", () => {
  const shelf = new Shelf({ authorBytes: 10_000 });
  shelf.tellers.set(3, 2).set(4, 2);
  shelf.append(3, "told of by the same one");
  for (let i = 0; i < 50; i++) shelf.append(4, "x".repeat(744));
  assertEquals([shelf.lines(3), shelf.lines(4)], [1, 9]);
  shelf.append(2, "x".repeat(20_000));
  assertEquals([shelf.lines(2), shelf.lines(3), shelf.lines(4)], [1, 0, 0]);
});

Deno.test("LineLogs: logs of authors that one tells of push out each other's, and its own", () => {
  const shelf = new Shelf({ logs: 20 });
  for (let run = 1; run <= 8; run++) shelf.append(1, "", run);
  for (let author = 100; author < 164; author++) {
    shelf.tellers.set(author, 2);
    shelf.append(author);
    shelf.append(2, "", author);
  }
  assertEquals([...shelf.logs.values()].length, 20);
  assertEquals(shelf.forgotten.filter((author) => author === 1), []);
});

Deno.test("LineLogs: who is met has a share of its own from then on, and all that was there", () => {
  const shelf = new Shelf({ lines: 40, authorBytes: 5_000, logs: 12 });
  shelf.tellers.set(3, 2);
  for (let i = 0; i < 10; i++) shelf.append(3, "x".repeat(44));
  shelf.meet(3);
  for (let i = 0; i < 100; i++) shelf.append(2, "x".repeat(44));
  assertEquals([shelf.lines(3), shelf.lines(2)], [10, 16]);
  for (let run = 2; run <= 50; run++) shelf.append(2, "", run);
  assertEquals(shelf.forgotten.includes(3), false);
  // What is moved is counted where it is: all can go again.
  shelf.logs.expire(shelf.now + 1e12);
  assertEquals(shelf.logs.kept, { lines: 0, bytes: 0 });
  assertEquals([...shelf.logs.values()], []);
});

Deno.test("Replica: of 64 authors that were made up nothing pushes out what others said", () => {
  const now = new Now();
  const limits = { lines: 100, authorBytes: 20_000, logs: 40 };
  const [us, bob, mallory] = [rig(1, now, limits), rig(2), rig(3)];
  const [b, m] = [join(us, bob), join(us, mallory)];
  for (const id of [b, m]) us.replica.heard(id, whole());
  for (let number = 1; number <= 40; number++) us.replica.take(b, line(bob, number), number - 1);
  us.replica.leave(b);
  for (let author = 100; author < 164; author++) {
    const invented = rig(author, now);
    us.replica.know(invented.key, invented.key, mallory.key);
    for (let number = 1; number <= 50; number++) {
      us.replica.take(m, line(invented, number, { text: "x".repeat(100) }), number - 1);
    }
  }
  const { lines, bytes } = us.replica.kept;
  assert(lines <= 100 && bytes <= 20_000 + 40 * 300, `${lines} lines, ${bytes} bytes`);
  assert(positions(us, join(us, rig(5))).includes("2 40"));
  us.replica.heard("5", whole(...part(bob, 0).logs));
  assertEquals(us.replica.pending("5").lines >= 40, true);
});

Deno.test("Replica: who was only told of in an earlier run has one share until somebody is met", () => {
  const us = rig(1, new Now(), { lines: 20 });
  us.replica.know(rig(2).key, rig(2).key);
  const kept = [2, 100, 101, 102].flatMap((author) =>
    Array.from(
      { length: 8 },
      (_, index) => ({ ...line(rig(author), index + 1), receivedAt: START }),
    )
  );
  us.replica.restore(kept, []);
  const o = join(us, rig(9));
  us.replica.heard(o, whole());
  assertEquals(us.replica.pending(o).lines, 20);
  for (const author of [100, 101, 102]) us.replica.know(rig(author).key, rig(author).key);
  us.replica.heard(o, whole(...part(rig(2), 8).logs));
  assertEquals(us.replica.pending(o).lines, 12);
  us.replica.say("one more", "us");
  assertEquals(us.replica.pending(o).lines, 13);
});
