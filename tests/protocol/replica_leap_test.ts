import { assert, assertEquals } from "@std/assert";
import { encodeChat } from "../../protocol/chat.ts";
import {
  BEGIN_WAIT_MS,
  GAP_SHOW_MS,
  GAP_WAIT_MS,
  MESH_SWEEP_MS,
  POSITION_LIFE_MS,
} from "../../protocol/limits.ts";
import { signedBytes } from "../../protocol/line.ts";
import { newInstance } from "../../protocol/member.ts";
import { fakeSignature } from "../fakes/chat_mesh.ts";
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

/** A member with two neighbours, whose positions have gone out; the author of some lines is away. */
function alone(count: number) {
  const { us, author, other, a, o, now } = between(count);
  const m = join(us, rig(4));
  us.replica.away(a);
  for (const id of [o, m]) due(us, id);
  return { us, author, other, a, o, m, now };
}

Deno.test("Replica: a leap is dropped, and where we are goes back, byte for byte", () => {
  const { us, author, o } = alone(2);
  assertEquals(us.replica.take(o, line(author, 9), 2), undefined);
  const bytes = due(us, o).map((message) => encodeChat(message).toHex());
  const log = `${author.key.toHex()}${author.instance.toHex()}00`;
  assertEquals(bytes, [`060000002f00${log}0000000002`]);
  // What follows it on its way does not fit either: nobody has to hear that again.
  assertEquals(us.replica.take(o, line(author, 10), 9), undefined);
  assertEquals(positions(us, o), []);
  assertEquals(us.replica.take(o, line(author, 9), 2), undefined);
  assertEquals(positions(us, o), ["2 2"]);
});

Deno.test("Replica: a leap leaves out nothing that anybody brings within two minutes", () => {
  const { us, author, o, m, now } = alone(1);
  assertEquals(us.replica.take(m, line(author, 5), 1), undefined);
  for (const number of [2, 3, 4, 5]) {
    now.ms += GAP_WAIT_MS - 1;
    assertEquals(us.replica.take(m, line(author, 5 + number), 1), undefined);
    assertEquals(us.replica.take(o, line(author, number), number - 1)?.number, number);
  }
  assertEquals(us.replica.take(m, line(author, 6), 5)?.number, 6);
});

Deno.test("Replica: two minutes after the first, from whomever, a leap is taken", () => {
  const { us, author, o, m, now } = alone(1);
  assertEquals(us.replica.take(m, line(author, 5), 1), undefined);
  now.ms += GAP_WAIT_MS - 1;
  assertEquals(us.replica.take(o, line(author, 5), 1), undefined);
  now.ms += 1;
  assertEquals(us.replica.take(o, line(author, 5), 1)?.number, 5);
  // Each gap has its time.
  assertEquals(us.replica.take(o, line(author, 8), 5), undefined);
});

Deno.test("Replica: the smallest leap is taken, others only where nobody brings that one", () => {
  const { us, author, o, m, now } = alone(1);
  assertEquals(us.replica.take(m, line(author, 50), 1), undefined);
  now.ms += GAP_SHOW_MS;
  assertEquals(us.replica.take(o, line(author, 5), 1), undefined);
  now.ms += GAP_WAIT_MS;
  assertEquals(us.replica.take(m, line(author, 50), 1), undefined);
  assertEquals(us.replica.take(o, line(author, 5), 1)?.number, 5);

  assertEquals(us.replica.take(o, line(author, 8), 5), undefined);
  now.ms += 2 * GAP_WAIT_MS - 1;
  assertEquals(us.replica.take(m, line(author, 50), 5), undefined);
  now.ms += 1;
  assertEquals(us.replica.take(m, line(author, 50), 5)?.number, 50);
});

Deno.test("Replica: what the author did not sign does not begin the two minutes", () => {
  const { us, author, o, m, now } = alone(1);
  const forged = { ...line(author, 5), text: "forged" };
  assertEquals(us.replica.take(m, forged, 1), undefined);
  now.ms += GAP_WAIT_MS;
  assertEquals(us.replica.take(o, line(author, 5), 1), undefined);
});

Deno.test("Replica: nor does what was signed with a key that turns out to be another's", () => {
  const { us, author, other, o, m, now } = alone(0);
  us.replica.know(author.key, other.key);
  const forged = line(author, 5);
  forged.signature.set(fakeSignature(signedBytes(forged), other.key));
  assertEquals(us.replica.take(m, forged, 0), undefined);
  now.ms += BEGIN_WAIT_MS;
  us.replica.know(author.key, author.key);
  assertEquals(us.replica.take(o, line(author, 5), 0), undefined);
});

Deno.test("Replica: at the beginning of a log a leap waits for five seconds", () => {
  const { us, author, o, now } = alone(0);
  assertEquals(us.replica.take(o, line(author, 5), 0), undefined);
  assertEquals(positions(us, o), ["2 0"]);
  now.ms += BEGIN_WAIT_MS - 1;
  assertEquals(us.replica.take(o, line(author, 5), 0), undefined);
  now.ms += 1;
  assertEquals(us.replica.take(o, line(author, 5), 0)?.number, 5);
});

Deno.test("Replica: a leap in a log that is new to us is dropped, however often, for one log each", () => {
  const { us, author, o } = alone(0);
  const earlier = { ...author, instance: newInstance(5, Uint8Array.of(1, 1)) };
  for (let time = 0; time < 3; time++) {
    assertEquals(us.replica.take(o, line(earlier, 5), 0), undefined);
    assertEquals(positions(us, o), ["2 0"]);
  }
  assertEquals(us.replica.take(o, line(earlier, 1), 0)?.number, 1);
});

Deno.test("Replica: a log that is known by a leap alone has no position: what is old is not taken", () => {
  const { us, author, o, now } = alone(0);
  const earlier = { ...author, instance: newInstance(5, Uint8Array.of(1, 1)) };
  assertEquals(us.replica.take(o, line(earlier, 5), 0), undefined);
  now.ms += POSITION_LIFE_MS + 1;
  assertEquals(us.replica.take(o, line(earlier, 1), 0), undefined);
  assertEquals(us.replica.take(o, line(earlier, 1, { time: now.ms }), 0)?.number, 1);
});

Deno.test("Replica: who is new takes what comes first from the one that it came to, from no other", () => {
  const [us, author, first, second] = [rig(1), rig(2), rig(3), rig(4)];
  us.replica.know(author.key, author.key);
  const [f, s] = [join(us, first, 0, false), join(us, second, 0, false)];
  for (const id of [f, s]) due(us, id);
  assertEquals(us.replica.take(s, line(author, 5), 0), undefined);
  assertEquals(us.replica.take(f, line(author, 7), 0)?.number, 7);
  assertEquals(us.replica.take(f, line(author, 9), 7), undefined);
});

Deno.test("Replica: what an author has said in an earlier run it may leave out", () => {
  const { us, author, a, o } = between(0);
  const earlier = { ...author, instance: newInstance(5, Uint8Array.of(1, 1)) };
  assertEquals(us.replica.take(o, line(earlier, 3), 0), undefined);
  assertEquals(us.replica.take(a, line(earlier, 3), 0)?.number, 3);
  assertEquals(us.replica.take(a, line(earlier, 7), 3)?.number, 7);
});

Deno.test("Replica: who hands on shows a gap after five seconds, and leaps two minutes later", () => {
  const { us, author, a, o, now } = between(1);
  const wait = (ms: number) => {
    now.ms += ms;
    us.replica.expire();
    return lines(us, o);
  };
  us.replica.take(a, line(author, 4), 1);
  assertEquals(lines(us, o), [[0, 1]]);
  assertEquals(wait(GAP_SHOW_MS - 1), []);
  assertEquals(us.replica.pending(o).lines, 0);
  assertEquals(wait(1), [[1, 4]]);
  for (let time = 0; time < 3; time++) {
    us.replica.heard(o, part(author, 1));
    assertEquals(lines(us, o), []);
    assertEquals(wait(GAP_WAIT_MS - 1), []);
    // Told the same again, it does not begin to wait anew.
    us.replica.heard(o, part(author, 1));
    assertEquals(wait(0), []);
    assertEquals(wait(1), [[1, 4]]);
  }
  us.replica.heard(o, part(author, 2));
  assertEquals(lines(us, o), []);
  assertEquals(wait(GAP_SHOW_MS - 1), []);
  us.replica.heard(o, part(author, 3));
  assertEquals(lines(us, o), [[3, 4]]);
});

Deno.test("Replica: of several gaps the first is what counts, however late it is heard of", () => {
  const { us, author, a, o, now } = between(1);
  for (const [previous, number] of [[1, 4], [4, 7]] as const) {
    us.replica.take(a, line(author, number), previous);
  }
  const shown: [number, number][] = [];
  for (let time = 0; time < 4; time++) {
    shown.push(...lines(us, o));
    now.ms += GAP_SHOW_MS;
    us.replica.expire();
  }
  assertEquals(shown, [[0, 1], [1, 4], [4, 7]]);
  us.replica.heard(o, part(author, 1));
  assertEquals(lines(us, o), []);
  now.ms += GAP_WAIT_MS - 1;
  us.replica.expire();
  assertEquals(lines(us, o), []);
  now.ms += 1;
  us.replica.expire();
  assertEquals(lines(us, o), [[1, 4]]);
});

Deno.test("Replica: who has nothing of a log is shown at once where it begins, and sent it soon", () => {
  const { us, author, a, o, now } = between(0);
  us.replica.take(a, line(author, 4), 0);
  assertEquals(lines(us, o), [[0, 4]]);
  for (let time = 0; time < 3; time++) {
    us.replica.heard(o, part(author, 0));
    assertEquals(lines(us, o), []);
    now.ms += BEGIN_WAIT_MS;
    us.replica.expire();
    assertEquals(lines(us, o), [[0, 4]]);
  }
});

Deno.test("Replica: who is new is sent what comes first at once, of a later log after five seconds", () => {
  const now = new Now();
  const [us, author, later, fresh] = [rig(1, now), rig(2), rig(3), rig(4)];
  const a = join(us, author);
  const f = join(us, fresh, START, false);
  us.replica.heard(f, { ...whole(), isNew: true });
  due(us, f);
  us.replica.take(a, line(author, 4), 0);
  assertEquals(lines(us, f), [[0, 4]]);
  now.ms += 10;
  const l = join(us, later);
  us.replica.take(l, line(later, 4), 0);
  assertEquals(lines(us, f), []);
  now.ms += BEGIN_WAIT_MS;
  us.replica.expire();
  assertEquals(lines(us, f), [[0, 4]]);
});

Deno.test("Replica: what another program of ours said it shows nobody before it leaps", () => {
  const { us, o, now } = between(0);
  const earlier = { ...us, instance: newInstance(5, Uint8Array.of(1, 1)) };
  const m = join(us, rig(4));
  us.replica.heard(m, whole(...part(earlier, 1).logs));
  due(us, m);
  us.replica.heard(o, part(earlier, 1));
  us.replica.take(o, line(earlier, 1), 0);
  for (const number of [4, 5]) {
    us.replica.take(o, line(earlier, number), 1);
    now.ms += GAP_WAIT_MS;
    us.replica.take(o, line(earlier, number), 1);
  }
  assertEquals(lines(us, m), []);
  now.ms += GAP_WAIT_MS - 1;
  us.replica.expire();
  assertEquals(lines(us, m), []);
  now.ms += 1;
  us.replica.expire();
  assertEquals(lines(us, m), [[1, 4], [4, 5]]);
});

Deno.test("Replica: between two who keep to it a gap is skipped after two minutes, with two leaps", () => {
  const now = new Now();
  const { us: from, author, a, other, o } = between(1, now);
  const to = rig(3, now);
  assertEquals(to.key, other.key);
  const f = join(to, from);
  join(to, author);
  to.replica.away("2");
  due(from, o);
  for (const message of due(to, f)) if (message.type === "have") from.replica.heard(o, message);
  to.replica.heard(f, whole());
  const sent = { lines: 0, haves: 0 };
  const shown: [number, number][] = [];
  const exchange = () => {
    for (const message of due(from, o)) {
      if (message.type === "have") continue;
      sent.lines++;
      const fresh = to.replica.take(f, message.line, message.previous);
      if (fresh) shown.push([fresh.number, now.ms - START]);
    }
    for (const message of due(to, f)) {
      if (message.type !== "have") continue;
      sent.haves++;
      from.replica.heard(o, message);
    }
  };
  exchange();
  from.replica.take(a, line(author, 7), 1);
  for (let time = 0; time < 600_000; time += MESH_SWEEP_MS) {
    exchange();
    now.ms += MESH_SWEEP_MS;
    from.replica.expire();
    to.replica.expire();
  }
  assertEquals(shown.map(([number]) => number), [1, 7]);
  const skippedAfter = shown[1]![1];
  assert(skippedAfter <= GAP_WAIT_MS + GAP_SHOW_MS + MESH_SWEEP_MS, `${skippedAfter} ms`);
  assertEquals(sent, { lines: 3, haves: 1 });
});
