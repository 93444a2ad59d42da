import { assert, assertEquals } from "@std/assert";
import { DialPlan } from "../../protocol/dial_plan.ts";
import { type KeyedMember, memberId } from "../../protocol/member.ts";
import { member } from "../fakes/mesh_members.ts";

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

/** A plan of member 50, whose instance is 5, and what became of it. */
class Rig {
  now = 1_000;
  /** Attempts, each when it was and whom it was for. */
  readonly attempts: { at: number; id: string; hosts: string[] }[] = [];
  readonly plan = new DialPlan({
    self: member(50, { began: 5 }),
    now: () => this.now,
    random: () => 0.5,
  });

  /** Begins what is due, without an end. */
  begin(): string[] {
    const due = this.plan.due();
    for (const { id, addresses } of due) {
      this.attempts.push({ at: this.now, id, hosts: addresses.map(({ host }) => host) });
    }
    return due.map(({ id }) => id);
  }

  /** Lets time pass; every attempt fails at once. */
  fail(ms: number, meanwhile = () => {}): void {
    for (const end = this.now + ms; this.now < end;) {
      const wait = Math.min(this.plan.nextDue(), end - this.now, 1_000);
      if (wait > 0) meanwhile();
      this.now += wait;
      const begun = this.begin();
      assert(wait > 0 || begun.length > 0, "who is due is dialled");
      for (const id of begun) this.plan.dialled(id, "failed");
    }
  }

  tell(...members: KeyedMember[]): void {
    this.plan.tell("carol", member(99).key, members);
  }

  /** Milliseconds after the start at which there were attempts. */
  get times(): number[] {
    return this.attempts.map(({ at }) => at - 1_000);
  }
}

/** A member that does not exist, and that we would be the first to dial. */
function invented(number: number, given: Partial<KeyedMember> = {}): KeyedMember {
  const key = new Uint8Array(32).fill(7);
  new DataView(key.buffer).setUint32(0, number);
  return { ...member(1, { began: 9 }), key, ...given };
}

Deno.test("DialPlan: the smaller member is the first to dial, the other follows after 2 s", () => {
  const [smaller, larger] = [member(1, { began: 1 }), member(1, { began: 9 })];
  const rig = new Rig();
  rig.tell(smaller, larger);
  assertEquals(rig.begin(), [memberId(larger)]);
  assertEquals(rig.plan.nextDue(), 2_000);
  rig.now += 2_000;
  assertEquals(rig.begin(), [memberId(smaller)]);
});

Deno.test("DialPlan: pauses double with each failure, to five minutes for whom we never met", () => {
  const rig = new Rig();
  rig.tell(member(1, { began: 9 }));
  rig.fail(HOUR_MS);
  const pauses = rig.times.slice(1).map((at, index) => at - rig.times[index]!);
  const wanted = [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300].map((s) => s * 1_000);
  assertEquals(pauses.slice(0, wanted.length), wanted);
  assert(pauses.length < 25, `${pauses.length} attempts in an hour`);
});

Deno.test("DialPlan: a lost member is dialled for an hour, each 10 s at first, then each minute", () => {
  const rig = new Rig();
  const bob = member(1, { began: 9 });
  rig.plan.linked(bob);
  rig.now += 20_000;
  rig.plan.lost(memberId(bob));
  const lostAt = rig.now;
  rig.fail(2 * HOUR_MS);
  const times = rig.attempts.map(({ at }) => at - lostAt);
  assertEquals(times.slice(0, 7), [1, 3, 7, 15, 25, 35, 45].map((s) => s * 1_000));
  const pauses = times.slice(1).map((at, index) => at - times[index]!);
  const atFirst = pauses.filter((_, index) => times[index]! < 5 * MINUTE_MS);
  const later = pauses.slice(atFirst.length);
  assertEquals([Math.max(...atFirst), new Set(later)], [10_000, new Set([MINUTE_MS])]);
  assert(times.at(-1)! > HOUR_MS - MINUTE_MS && times.at(-1)! < HOUR_MS);
  assertEquals(rig.plan.nextDue(), Infinity);
});

Deno.test("DialPlan: on another network all who failed are dialled at once", () => {
  const rig = new Rig();
  rig.tell(member(1, { began: 9 }));
  rig.fail(10 * MINUTE_MS);
  const { length } = rig.attempts;
  assert(rig.plan.nextDue() > 1_000);
  rig.plan.networkChanged();
  assertEquals(rig.plan.nextDue(), 0);
  rig.fail(1);
  assertEquals([rig.attempts.length, rig.plan.nextDue()], [length + 1, 999]);
});

Deno.test("DialPlan: who is told of by somebody else, too, is dialled sooner, but not each time", () => {
  const rig = new Rig();
  const bob = member(1, { began: 9 });
  rig.tell(bob);
  rig.fail(10 * MINUTE_MS);
  const { length } = rig.attempts;
  rig.plan.tell("dave", member(98).key, [bob]);
  rig.fail(1);
  assertEquals(rig.attempts.length, length + 1);
  rig.plan.untell("dave");
  rig.plan.tell("dave", member(98).key, [bob]);
  rig.fail(1_000);
  assertEquals(rig.attempts.length, length + 1);
});

Deno.test("DialPlan: whom nobody tells of any more is not dialled", () => {
  const rig = new Rig();
  const bob = member(1, { began: 9 });
  rig.tell(bob);
  rig.fail(1_500);
  const { length } = rig.attempts;
  rig.tell();
  rig.fail(MINUTE_MS);
  assertEquals([rig.attempts.length, rig.plan.nextDue()], [length, Infinity]);
  rig.tell(bob);
  rig.plan.untell("carol");
  rig.fail(MINUTE_MS);
  assertEquals(rig.attempts.length, length);
});

Deno.test("DialPlan: an attempt that has led to somebody else is not repeated at once", () => {
  const rig = new Rig();
  const bob = member(1, { began: 9 });
  rig.tell(bob);
  assertEquals(rig.begin().length, 1);
  assertEquals(rig.begin().length, 0);
  rig.plan.dialled(memberId(bob), "ok");
  assertEquals(rig.plan.nextDue(), 15_000);
  rig.plan.linked(bob);
  assertEquals(rig.plan.nextDue(), Infinity);
});

Deno.test("DialPlan: six at once whom we never met, and the next when one is over", () => {
  const rig = new Rig();
  rig.tell(...Array.from({ length: 20 }, (_, number) => invented(number)));
  const begun = rig.begin();
  assertEquals([begun.length, rig.begin().length, rig.plan.nextDue()], [6, 0, Infinity]);
  rig.plan.dialled(begun[0]!, "failed");
  assertEquals([rig.plan.nextDue(), rig.begin().length], [0, 1]);
});

Deno.test("DialPlan: neither those met, nor those never met, nor who came for a moment, take all", () => {
  const rig = new Rig();
  const [friends, strangers, guests] = [1, 2, 3].map((hundreds) =>
    Array.from({ length: 20 }, (_, number) => invented(hundreds * 100 + number))
  );
  const of = (group: KeyedMember[], begun: string[]) =>
    group.filter((each) => begun.includes(memberId(each))).length;
  const lose = (group: KeyedMember[]) => group.forEach((each) => rig.plan.lost(memberId(each)));
  friends!.forEach((each) => rig.plan.linked(each));
  rig.now += MINUTE_MS;
  guests!.forEach((each) => rig.plan.linked(each));
  rig.now += 20_000;
  lose(guests!);
  rig.now += 2_000;
  const first = rig.begin();
  assertEquals([of(guests!, first), first.length], [4, 4]);
  lose(friends!);
  rig.tell(...strangers!);
  assertEquals(rig.plan.nextDue(), 0);
  const second = rig.begin();
  assertEquals([of(strangers!, second), second.length], [2, 2]);
  assertEquals(rig.plan.nextDue(), 1_000);
  rig.now += 1_000;
  assertEquals([of(friends!, rig.begin()), rig.plan.nextDue()], [2, Infinity]);
  rig.plan.dialled(first[0]!, "failed");
  const third = rig.begin();
  assertEquals([of(guests!, third), third.length], [1, 1], "who has waited for longest");
});

Deno.test("DialPlan: whoever dialled us is dialled when it is away for 5 s, until it is back", () => {
  const rig = new Rig();
  const bob = member(1, { began: 9 });
  const id = memberId(bob);
  rig.plan.linked(bob);
  rig.now += MINUTE_MS;
  rig.plan.away(id, { dial: true });
  assertEquals(rig.plan.nextDue(), 5_000);
  rig.now += 5_000;
  assertEquals(rig.begin(), [id]);
  assertEquals(rig.attempts[0]!.hosts, ["192.168.1.1"]);
  rig.plan.dialled(id, "failed");
  assertEquals(rig.plan.nextDue(), 1_000);
  rig.plan.back(id);
  assertEquals(rig.plan.nextDue(), Infinity);
  rig.plan.away(id, { dial: true });
  rig.fail(MINUTE_MS);
  const pauses = rig.times.slice(1).map((at, index) => at - rig.times[index]!);
  assertEquals(pauses.slice(0, 6), [5, 2, 4, 8, 10, 10].map((s) => s * 1_000), "as before");
  rig.plan.back(id);
  rig.plan.away(id, { dial: false });
  assertEquals(rig.plan.nextDue(), Infinity, "it is for our session to find a connection");
});

Deno.test("DialPlan: who turns out to be away when we are on another network is dialled at once", () => {
  const rig = new Rig();
  const bob = member(1, { began: 9 });
  rig.plan.linked(bob);
  rig.now += MINUTE_MS;
  rig.plan.networkChanged();
  rig.now += 3_000;
  rig.plan.away(memberId(bob), { dial: true });
  assertEquals(rig.begin(), [memberId(bob)]);
});

Deno.test("DialPlan: how long somebody stayed is how long it had a connection", () => {
  const rig = new Rig();
  const [bob, ...guests] = Array.from({ length: 30 }, (_, number) => invented(number));
  for (const each of [bob!, ...guests]) rig.plan.linked(each);
  rig.now += 20_000;
  for (const each of guests) rig.plan.away(memberId(each), { dial: false });
  rig.now += MINUTE_MS;
  for (const each of [bob!, ...guests]) rig.plan.lost(memberId(each));
  rig.now += 1_000;
  const begun = rig.begin();
  assertEquals([begun.length, begun.includes(memberId(bob!))], [5, true]);
});

Deno.test("DialPlan: where somebody is with whom there is a session, it says itself", () => {
  const rig = new Rig();
  const at = (host: string) => member(1, { began: 9, addresses: [{ host, port: 1 }] });
  rig.plan.linked(at("10.0.0.1"));
  rig.tell(at("10.0.0.2"));
  const hosts = () => rig.plan.where(memberId(member(1, { began: 9 })))?.addresses;
  assertEquals(hosts()?.map(({ host }) => host), ["10.0.0.1", "10.0.0.2"]);
});

Deno.test("DialPlan: who is remembered, and was lost a short while ago, is dialled each 10 s at first", () => {
  for (const lostForMs of [4 * MINUTE_MS, undefined]) {
    const rig = new Rig();
    rig.plan.remember([{ ...member(1), lostForMs }]);
    rig.fail(MINUTE_MS);
    const wanted = lostForMs ? [0, 1, 3, 7, 15, 25, 35, 45, 55] : [0, 1, 3, 7, 15, 31];
    assertEquals(rig.times, wanted.map((s) => s * 1_000));
  }
});

Deno.test("DialPlan: 512 who came for a moment do not have those who stayed forgotten", () => {
  const rig = new Rig();
  const bob = member(1, { began: 9 });
  rig.plan.linked(bob);
  rig.now += MINUTE_MS;
  rig.plan.lost(memberId(bob));
  for (let number = 0; number < 600; number++) {
    rig.plan.linked(invented(number));
    rig.now += 10_000;
    rig.plan.lost(memberId(invented(number)));
  }
  assert(rig.plan.where(memberId(bob)));
});

Deno.test("DialPlan: a member is told at many addresses: the union, its own and each teller's first", () => {
  const rig = new Rig();
  const at = (...hosts: number[]) => ({
    began: 9,
    addresses: hosts.map((each) => ({ host: `10.0.0.${each}`, port: 1 })),
  });
  const bob = member(1, at(1, 2));
  rig.plan.linked(bob);
  rig.plan.lost(memberId(bob));
  rig.plan.tell("carol", member(99).key, [member(1, at(3, 4, 5, 6, 7, 8, 9, 10))]);
  rig.plan.tell("dave", member(98).key, [member(1, at(1, 11, 12))]);
  rig.now += MINUTE_MS;
  rig.begin();
  const wanted = [1, 3, 2, 4, 11, 5, 12, 6].map((each) => `10.0.0.${each}`);
  assertEquals(rig.attempts[0]!.hosts, wanted);
});

Deno.test("DialPlan: who tells of somebody first is believed, then whoever does still, itself always", () => {
  const rig = new Rig();
  const bob = (name: string) => member(1, { began: 9, name, relay: `${name}.example:8080` });
  const id = memberId(bob("bob"));
  const found = () => [rig.plan.where(id)?.name, rig.plan.where(id)?.relay];
  assertEquals(found(), [undefined, undefined]);
  rig.plan.tell("carol", member(99).key, [bob("bob")]);
  rig.plan.tell("liar", member(98).key, [bob("lie")]);
  assertEquals(found(), ["bob", "bob.example:8080"]);
  rig.plan.untell("carol");
  assertEquals(found(), ["lie", "lie.example:8080"]);
  rig.plan.linked(bob("robert"));
  rig.plan.tell("liar", member(98).key, [bob("lie")]);
  assertEquals(found(), ["robert", "robert.example:8080"]);
});

Deno.test("DialPlan: loopback is dialled only if it is told over loopback", () => {
  const rig = new Rig();
  const told = [{ host: "127.0.0.1", port: 1 }, { host: "10.0.0.1", port: 1 }];
  rig.plan.tell("far", member(98).key, [member(1, { began: 9, addresses: told })]);
  rig.begin();
  rig.plan.tell("near", member(99).key, [member(2, { began: 9, addresses: told })], true);
  rig.begin();
  assertEquals(rig.attempts.map(({ hosts }) => hosts), [["10.0.0.1"], ["127.0.0.1", "10.0.0.1"]]);
});

Deno.test("DialPlan: where a program of the same key is now, the one before it is not dialled", () => {
  const rig = new Rig();
  const [old, anew] = [member(1, { began: 1 }), member(1, { began: 2 })];
  rig.plan.linked(anew);
  rig.tell(old);
  rig.fail(MINUTE_MS);
  assertEquals(rig.attempts, []);
  rig.tell({ ...old, addresses: [{ host: "10.0.0.1", port: 2 }] });
  rig.fail(1);
  assertEquals(rig.attempts.length, 1);
});

Deno.test("DialPlan: who is remembered is dialled until somebody with its key is here", () => {
  const rig = new Rig();
  const { key, name, addresses, relay } = member(1);
  rig.plan.remember([{ key, name, addresses, relay }]);
  assertEquals(rig.begin(), [key.toHex()]);
  rig.plan.dialled(key.toHex(), "failed");
  rig.fail(2 * HOUR_MS);
  assert(rig.now - rig.attempts.at(-1)!.at <= 5 * MINUTE_MS);
  const { length } = rig.attempts;
  rig.plan.linked(member(1));
  rig.plan.gone(memberId(member(1)));
  rig.fail(HOUR_MS);
  assertEquals(rig.attempts.length, length);
});

Deno.test("DialPlan: a member with neither address nor relay is not dialled", () => {
  const rig = new Rig();
  rig.tell(member(1, { began: 9, addresses: [] }));
  assertEquals([rig.plan.nextDue(), rig.begin()], [Infinity, []]);
  rig.tell(member(1, { began: 9, addresses: [], relay: "relay.example:8080" }));
  assertEquals(rig.begin().length, 1);
});

/** What a liar tells, each second anew. */
const LIES: Record<string, (round: number) => KeyedMember[]> = {
  "64 who do not exist": () => Array.from({ length: 64 }, (_, number) => invented(number)),
  "others each time": (round) =>
    Array.from({ length: 64 }, (_, number) => invented(round * 64 + number)),
  "one who comes and goes": (round) => round % 2 === 0 ? [invented(1)] : [],
  "many who come and go": (round) =>
    round % 2 === 0 ? Array.from({ length: 64 }, (_, number) => invented(number)) : [],
  "one whose addresses change": (round) => [
    invented(1, { addresses: [{ host: `10.0.${round >> 8 & 255}.${round & 255}`, port: 1 }] }),
  ],
  "instances of one key": (round) =>
    Array.from({ length: 64 }, (_, number) => {
      const instance = new Uint8Array(8).fill(9);
      new DataView(instance.buffer).setUint32(0, 1 + round * 64 + number);
      return { ...member(1), instance };
    }),
  "ourselves": () => [member(50, { began: 5 })],
};

for (const [what, tells] of Object.entries(LIES)) {
  Deno.test(`DialPlan: a liar gets little of us in an hour who tells of ${what}`, () => {
    const rig = new Rig();
    let round = 0;
    let toldAt = -Infinity;
    rig.fail(HOUR_MS, () => {
      if (rig.now - toldAt < 1_000) return;
      toldAt = rig.now;
      rig.tell(...tells(round++));
    });
    const each = Map.groupBy(rig.attempts, ({ id }) => id);
    const most = Math.max(0, ...[...each.values()].map(({ length }) => length));
    const wanted =
      { "ourselves": 0, "one who comes and goes": 30, "one whose addresses change": 30 }[
        what
      ];
    assert(most <= 30, `${most} attempts at one`);
    assert(rig.attempts.length <= (wanted ?? 32 * 30), `${rig.attempts.length} attempts in all`);
  });
}

Deno.test("DialPlan: many liars together get two attempts a second at those who do not exist", () => {
  const rig = new Rig();
  for (let liar = 0; liar < 100; liar++) {
    const members = Array.from({ length: 64 }, (_, number) => invented(liar * 64 + number));
    rig.plan.tell(`liar ${liar}`, invented(1_000_000 + liar).key, members);
  }
  rig.fail(10 * MINUTE_MS);
  assert(rig.attempts.length <= 64 + 2 * 600, `${rig.attempts.length} attempts`);
});

Deno.test("DialPlan: whoever is lost is dialled before those whom many liars tell of", () => {
  const rig = new Rig();
  const bob = member(1, { began: 9 });
  rig.plan.linked(bob);
  rig.now += 20_000;
  for (let liar = 0; liar < 100; liar++) {
    const members = Array.from({ length: 64 }, (_, number) => invented(liar * 64 + number));
    rig.plan.tell(`liar ${liar}`, invented(1_000_000 + liar).key, members);
  }
  rig.fail(5_000);
  rig.plan.lost(memberId(bob));
  rig.now += 1_000;
  assertEquals(rig.begin()[0], memberId(bob));
});

Deno.test("DialPlan: a mesh of 64 is dialled in a moment, though one alone tells of it", () => {
  const rig = new Rig();
  const mesh = Array.from({ length: 63 }, (_, number) => invented(number));
  rig.tell(...mesh);
  const met = new Set<string>();
  for (let step = 0; step < 100 && met.size < mesh.length; step++) {
    rig.now += 10;
    for (const id of rig.begin()) {
      rig.plan.dialled(id, "ok");
      rig.plan.linked(mesh.find((each) => memberId(each) === id)!);
      met.add(id);
    }
  }
  assertEquals([met.size, rig.now < 1_200], [63, true]);
});
