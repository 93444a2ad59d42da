import { assert, assertEquals, assertThrows } from "@std/assert";
import type { HaveMessage } from "../../protocol/chat.ts";
import { ProtocolError } from "../../protocol/errors.ts";
import { GAP_WAIT_MS, LINE_LIFE_MS, MAX_LOGS, POSITION_LIFE_MS } from "../../protocol/limits.ts";
import { signedBytes } from "../../protocol/line.ts";
import { newInstance } from "../../protocol/member.ts";
import { ChatMesh, fakeSignature } from "../fakes/chat_mesh.ts";
import {
  between,
  due,
  join,
  line,
  lines,
  Now,
  part,
  positions,
  rig,
  START,
  whole,
} from "../fakes/replica_rig.ts";

Deno.test("Replica: HAVE comes first, lines only when the other side's HAVE has come", () => {
  const [us, other] = [rig(1), rig(2)];
  us.replica.say("hi", "us");
  const id = join(us, other);
  assertEquals(due(us, id).map(({ type }) => type), ["have"]);
  assertEquals(us.replica.pending(id).lines, 1);
  us.replica.heard(id, whole());
  assertEquals(lines(us, id), [[0, 1]]);
  us.replica.say("again", "us");
  assertEquals(us.replica.pending(id).lines, 1);
  assertEquals(lines(us, id), [[1, 2]]);
  assertEquals(us.replica.pending(id), { lines: 0, bytes: 0 });
});

Deno.test("Replica: a line of one neighbour goes to others that do not have it directly", () => {
  const { us, author, a, o } = between(1);
  assertEquals(lines(us, a), []);
  assertEquals(lines(us, o), [[0, 1]]);
  us.replica.heard(o, part(author, 1, true));
  us.replica.take(a, line(author, 2), 1);
  assertEquals(lines(us, o), []);
  us.replica.heard(o, part(author, 1, false));
  assertEquals(lines(us, o), [[1, 2]]);
});

Deno.test("Replica: who sends a line is not sent it, nor what comes before it", () => {
  const { us, author, o } = between(3);
  us.replica.take(o, line(author, 2), 1);
  assertEquals(lines(us, o), [[2, 3]]);
});

Deno.test("Replica: what was had is dropped, what is missing is asked for once", () => {
  const { us, author, a } = between(2);
  assertEquals(us.replica.take(a, line(author, 2), 1), undefined);
  assertEquals(positions(us, a), []);
  for (const number of [5, 6]) {
    assertEquals(us.replica.take(a, line(author, number), number - 1), undefined);
  }
  assertEquals(positions(us, a), ["2 2 d"]);
  us.replica.take(a, line(author, 5), 4);
  assertEquals(positions(us, a), ["2 2 d"]);
  us.replica.take(a, line(author, 3), 2);
  us.replica.take(a, line(author, 6), 5);
  assertEquals(positions(us, a), ["2 3 d"]);
  assertEquals(us.replica.take(a, line(author, 6), 3)?.number, 6);
});

Deno.test("Replica: a HAVE that names less makes the sender go back", () => {
  const { us, author, o } = between(4);
  assertEquals(lines(us, o).length, 4);
  us.replica.heard(o, part(author, 2));
  assertEquals(lines(us, o), [[2, 3], [3, 4]]);
});

Deno.test("Replica: beside the author nobody else may leave out a line, however long it is", () => {
  const { us, author, a, o, now } = between(1);
  for (let time = 0; time < 5; time++) {
    assertEquals(us.replica.take(o, line(author, 5), 1), undefined);
    now.ms += GAP_WAIT_MS;
  }
  assertEquals(us.replica.take(a, line(author, 8), 1)?.number, 8);
});

Deno.test("Replica: who is new gets what comes from then on, and hears where that begins", () => {
  const now = new Now();
  const [us, other] = [rig(1, now), rig(2)];
  for (let i = 0; i < 3; i++) us.replica.say("before", "us");
  now.ms += 10;
  const id = join(us, other, now.ms, false);
  us.replica.heard(id, whole());
  us.replica.say("after", "us");
  assertEquals(due(us, id)[0], {
    type: "have",
    whole: true,
    isNew: true,
    logs: [
      { author: us.key, instance: us.instance, channel: 0, direct: true, number: 3 },
      { author: other.key, instance: other.instance, channel: 0, direct: true, number: 0 },
    ],
  });
  us.replica.say("later", "us");
  us.replica.heard(id, part(us, 3));
  assertEquals(lines(us, id), [[3, 4], [4, 5]]);
});

Deno.test("Replica: a newcomer begins where the author says, and says so to others", () => {
  const { us, author, a, o } = between(0);
  us.replica.heard(a, whole(...part(author, 9, true).logs));
  us.replica.leave(a);
  assertEquals(positions(us, o), ["2 9"]);
  us.replica.heard(o, whole());
  assertEquals(us.replica.take(o, line(author, 9), 8), undefined);
  assertEquals(us.replica.take(o, line(author, 10), 9)?.number, 10);
});

Deno.test("Replica: to somebody new, HAVE names those who are present only", () => {
  const { us, a } = between(1);
  us.replica.leave(a);
  assertEquals(positions(us, join(us, rig(4), 0, false)), ["1 0 d", "3 0 d", "4 0 d"]);
  assertEquals(positions(us, join(us, rig(5), 0, true)).includes("2 1"), true);
});

Deno.test("Replica: all others hear when a session with an author begins, stalls or ends", () => {
  const { us, author, a, o } = between(2);
  due(us, o);
  us.replica.away(a);
  assertEquals(positions(us, o), ["2 2"]);
  assertEquals(us.replica.next(a), undefined);
  us.replica.back(a);
  assertEquals(positions(us, o), ["2 2 d"]);
  us.replica.know(author.key, author.key);
  us.replica.join("second", { ...author, since: 0, returning: true });
  us.replica.leave(a);
  assertEquals(positions(us, o), []);
  us.replica.leave("second");
  us.replica.leave("second");
  assertEquals(positions(us, o), ["2 2"]);
});

Deno.test("Replica: what is said under our name is a lie, what an earlier run of ours said is not", () => {
  const { us, o } = between(0);
  assertThrows(() => us.replica.take(o, line(us, 1), 0), ProtocolError, "we never said it");
  us.replica.say("hi", "us");
  assertEquals(us.replica.take(o, line(us, 1), 0), undefined);
  const earlier = { ...us, instance: newInstance(5, Uint8Array.of(1, 1)) };
  assertEquals(us.replica.take(o, line(earlier, 1), 0)?.number, 1);
  const forged = { ...line(earlier, 2), signature: new Uint8Array(64) };
  assertEquals(us.replica.take(o, forged, 1), undefined);
});

Deno.test("Replica: private lines come from their author, and go to whom they are to", () => {
  const { us, author, other, a, o } = between(0);
  const secret = line(author, 1, { channel: 1, to: us.key });
  assertThrows(() => us.replica.take(o, secret, 0), ProtocolError, "somebody else");
  assertEquals(us.replica.take(a, secret, 0)?.to, us.key);
  assertEquals(lines(us, o), []);
  us.replica.say("psst", "us", other.key);
  assertEquals(lines(us, a), []);
  assertEquals(lines(us, o), [[0, 1]]);
  const heard = { author: us.key, instance: us.instance, channel: 1 as const, direct: true };
  us.replica.heard(o, { type: "have", whole: false, logs: [{ ...heard, number: 0 }] });
  assertEquals(lines(us, o), [[0, 1]]);
});

Deno.test("Replica: lines of strangers leave no trace, of others they are checked once", () => {
  const { us, author, a, o } = between(0);
  const stranger = rig(9);
  assertEquals(us.replica.take(o, line(stranger, 1), 0), undefined);
  us.replica.know(stranger.key, stranger.key);
  assertEquals(us.replica.take(o, line(stranger, 1), 0)?.number, 1);
  assertEquals(us.verified, 1);
  us.replica.take(a, line(author, 1), 0);
  assertEquals(us.verified, 1);
  assertEquals(lines(us, o), [[0, 1]]);
  us.replica.heard(o, part(author, 0));
  assertEquals(lines(us, o), [[0, 1]]);
  assertEquals(us.verified, 2);
});

Deno.test("Replica: nothing is handed on behind a line that its author signed wrongly", () => {
  const { us, author, a, o, now } = between(0);
  const wrong = { ...line(author, 1), signature: new Uint8Array(64) };
  assertEquals(us.replica.take(a, wrong, 0)?.number, 1);
  for (let number = 2; number < 100; number++) us.replica.take(a, line(author, number), number - 1);
  assertEquals(lines(us, o), []);
  now.ms += GAP_WAIT_MS;
  us.replica.expire();
  assertEquals(lines(us, o), []);
  assertEquals(us.verified, 1);
});

Deno.test("Replica: of who hands on a wrong signature nothing more of that author is taken", () => {
  const { us, author, a, o } = between(0);
  us.replica.leave(a);
  const forged = { ...line(author, 1), text: "other" };
  assertEquals(us.replica.take(o, forged, 0), undefined);
  assertEquals(us.replica.take(o, line(author, 1), 0), undefined);
  assertEquals(us.verified, 1);
  join(us, author);
  assertEquals(us.replica.take(a, line(author, 1), 0)?.number, 1);
});

Deno.test("Replica: what was taken with a signing key that was another's is void", () => {
  const { us, author, other, a, o } = between(0);
  us.replica.leave(a);
  us.replica.know(author.key, other.key);
  const forged = line(author, 1, { text: "forged" });
  forged.signature.set(fakeSignature(signedBytes(forged), other.key));
  assertEquals(us.replica.take(o, line(author, 1), 0), undefined);
  const another = join(us, rig(4));
  assertEquals(us.replica.take(another, forged, 0)?.text, "forged");
  join(us, author);
  assertEquals(us.replica.kept.lines, 0);
  assertEquals(us.replica.take(a, line(author, 1), 0)?.number, 1);
  assertEquals(us.replica.take(o, line(author, 2), 1)?.number, 2);
  us.replica.know(us.key, other.key);
  const earlier = { ...us, instance: newInstance(5, Uint8Array.of(1, 1)) };
  assertEquals(us.replica.take(o, line(earlier, 1), 0)?.number, 1);
});

Deno.test("Replica: positions beyond all lines, and logs that nobody knows, do no harm", () => {
  const { us, author, a, o } = between(1);
  us.replica.heard(o, whole(...part(us, 4_000_000_000).logs, ...part(author, 0xffff_ffff).logs));
  us.replica.say("hi", "us");
  assertEquals(lines(us, o), []);
  for (let round = 0; round < 4; round++) {
    const logs = Array.from({ length: 1_400 }, (_, index) => {
      const instance = newInstance(round * 2_000 + index, Uint8Array.of(1, 1));
      return { author: author.key, instance, channel: 0 as const, direct: true, number: 1 };
    });
    us.replica.heard(a, { type: "have", whole: false, logs });
  }
  us.replica.take(a, line(author, 0xffff_ffff), 1);
  assertEquals(us.replica.take(a, line(author, 2), 1), undefined);
  assertEquals(lines(us, a), [[0, 1]]);
});

Deno.test("Replica: asking for what is missing is bounded, whatever is sent", () => {
  const { us, author, o } = between(0);
  for (let index = 0; index < 3 * MAX_LOGS; index++) {
    const instance = newInstance(index, Uint8Array.of(2, 2));
    us.replica.take(o, line({ ...author, instance }, 7), 6);
  }
  assertEquals(positions(us, o).length, MAX_LOGS);
});

Deno.test("Replica: logs are bounded; who makes many loses its own, but none in use", () => {
  const { us, author, other, a, o } = between(1, new Now(), { logs: 10 });
  us.replica.say("hi", "us");
  for (let index = 0; index < 50; index++) {
    const instance = newInstance(START + index, Uint8Array.of(2, 2));
    us.replica.take(o, line({ ...other, instance }, 1), 0);
  }
  const all = positions(us, join(us, rig(4)));
  assertEquals(all.length, 10);
  assertEquals(all.filter((each) => each.startsWith("3")).length, 7);
  us.replica.take(a, line(author, 2), 1);
  assertEquals(lines(us, o), [[0, 1], [0, 1], [1, 2]]);
});

Deno.test("Replica: who floods pushes out its own lines only", () => {
  const { us, author, other, a, o } = between(5, new Now(), { lines: 50, authorBytes: 20_000 });
  us.replica.say("hi", "us");
  for (let number = 1; number <= 500; number++) us.replica.take(o, line(other, number), number - 1);
  assertEquals(us.replica.kept.lines, 50);
  assertEquals(lines(us, a).slice(0, 2), [[0, 1], [0, 457]]);
  for (let number = 501; number <= 600; number++) {
    us.replica.take(o, line(other, number, { text: "x".repeat(1_000) }), number - 1);
  }
  assert(us.replica.kept.bytes < 20_000 + 6 * 300);
  us.replica.heard(o, part(author, 0));
  assertEquals(lines(us, o).length, 6);
});

Deno.test("Replica: a line that is larger than all limits is still brought to whom it is for", () => {
  const { us, o } = between(0, new Now(), { authorBytes: 1_000, bytes: 2_000 });
  for (const length of [1, 1, 10_000]) us.replica.say("x".repeat(length), "us");
  assertEquals(us.replica.kept.lines, 1);
  assertEquals(lines(us, o), [[0, 3]]);
});

Deno.test("Replica: lines go after an hour, positions an hour later", () => {
  const { us, author, a, o, now } = between(2);
  us.replica.leave(a);
  now.ms += LINE_LIFE_MS + 1;
  us.replica.expire();
  assertEquals(us.replica.kept, { lines: 0, bytes: 0 });
  assertEquals(lines(us, o), []);
  assertEquals(us.replica.take(o, line(author, 2), 1), undefined);
  now.ms += POSITION_LIFE_MS - LINE_LIFE_MS;
  us.replica.expire();
  // Nobody remembers the log: a line that is that old could have been seen before.
  assertEquals(us.replica.take(o, line(author, 2), 0), undefined);
  const recent = line(author, 1, { time: now.ms - LINE_LIFE_MS });
  assertEquals(us.replica.take(o, recent, 0)?.number, 1);
});

Deno.test("Replica: what changed is told once, and makes the same member again", () => {
  const now = new Now();
  const { us, author, other } = between(3, now);
  us.replica.say("hi", "us");
  us.replica.say("psst", "us", other.key);
  const { lines: kept, positions: told } = us.replica.changes();
  assertEquals(kept.map(({ author, number }) => `${author[0]} ${number}`), [
    ...["2 1", "2 2", "2 3"],
    ...["1 1", "1 1"],
  ]);
  assertEquals(told.map(({ author, number }) => `${author[0]} ${number}`), ["2 3", "1 1"]);
  assertEquals(us.replica.changes(), { lines: [], positions: [] });

  const again = rig(1, now, {}, 1);
  again.replica.restore(kept.toReversed(), told);
  assertEquals(again.replica.changes(), { lines: [], positions: [] });
  const [toAuthor, toOther] = [join(again, author), join(again, other)];
  for (const id of [toAuthor, toOther]) again.replica.heard(id, whole());
  const handed = lines(again, toOther).map(([previous, number]) => `${previous} ${number}`);
  assertEquals(handed.toSorted(), ["0 1", "0 1", "0 1", "1 2", "2 3"]);
  assertEquals(positions(again, toAuthor).toSorted(), ["1 0 d", "1 1", "2 3 d", "3 0 d"]);
});

Deno.test("Replica: a position outlives its lines over a restart", () => {
  const again = rig(1);
  const [author, other] = [rig(2), rig(3)];
  again.replica.restore([], part(author, 3).logs);
  again.replica.know(author.key, author.key);
  const id = join(again, other);
  assertEquals(again.replica.take(id, line(author, 3), 2), undefined);
  assertEquals(again.replica.take(id, line(author, 4), 3)?.number, 4);
});

Deno.test("Replica: who has met somebody is not new after a restart, though nothing was kept", () => {
  const haves = [false, true].map((hasMet) => {
    const us = rig(1);
    us.replica.restore([], [], hasMet);
    return due(us, join(us, rig(2), 0, false))[0] as HaveMessage;
  });
  assertEquals(haves.map(({ isNew }) => isNew), [true, false]);
});

Deno.test("Replica: logs take turns", () => {
  const { us, o } = between(3);
  for (let i = 0; i < 3; i++) us.replica.say("hi", "us");
  const authors = due(us, o).map((each) => each.type === "line" && each.line.author[0]);
  assertEquals(authors, [2, 1, 2, 1, 2, 1]);
});

Deno.test("Replica: in a mesh of ten each line is sent nine times", () => {
  const mesh = new ChatMesh(() => 0.5);
  for (let count = 0; count < 10; count++) {
    const member = mesh.add();
    for (const other of mesh.members) if (other !== member) mesh.link(other, member);
  }
  mesh.drain();
  for (const member of mesh.members) for (let i = 0; i < 10; i++) member.say("hi");
  mesh.drain();
  assertEquals(mesh.members.map(({ shown }) => shown.length), Array(10).fill(100));
  assertEquals(mesh.sentLines, 100 * 9);
});
