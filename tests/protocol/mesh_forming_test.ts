/** Rosters that are told by each other's MEMBERS alone: everybody comes to have a session with all. */
import { assert, assertEquals } from "@std/assert";
import { formatAddress } from "../../protocol/address.ts";
import type { KeyedMember } from "../../protocol/member.ts";
import { Roster } from "../../protocol/roster.ts";
import { seededRandom } from "../fakes/connection_pair.ts";
import { member } from "../fakes/mesh_members.ts";

/** Milliseconds between two MEMBERS in a session, at least. */
const MEMBERS_MS = 200;
/** Milliseconds between two attempts to find a session another connection, at most. */
const REDIAL_MS = 5_000;

/** One end of a session. */
interface End {
  readonly node: Node;
  readonly other: Node;
  readonly id: string;
  readonly dialled: boolean;
  /** Whether it is for the other end to say first who it is. */
  readonly waits: boolean;
  away: boolean;
  /** What its last MEMBERS was of; undefined before it has said who it is. */
  told: number | undefined;
  toldAt: number;
  /** When what was sent last arrives at the other end. */
  arrives: number;
}

class Node {
  readonly ends = new Map<string, End>();

  constructor(readonly self: KeyedMember, readonly roster: Roster) {}

  /** Those with whom it has a session. */
  get linked(): string {
    return [...this.ends.values()].map(({ other }) => other.self.key[0]).sort().join(" ");
  }
}

class Mesh {
  now = 0;
  begun = 0;
  failed = 0;
  readonly nodes: Node[];
  readonly #random: () => number;
  /** Pairs that cannot reach each other. */
  readonly cut = new Set<string>();
  #events: { at: number; event: () => void }[] = [];

  constructor(size: number, seed: number) {
    const random = this.#random = seededRandom(seed);
    const now = () => this.now;
    this.nodes = Array.from({ length: size }, (_, index) => {
      const self = member(index + 1, { began: Math.floor(random() * 200) });
      return new Node(self, new Roster({ self, name: "x", now, time: now, random }));
    });
  }

  /** @param done told whether there is a session */
  dial(from: Node, to: Node, done: (result: "ok" | "failed") => void = () => {}): void {
    this.#after(this.#delay(), () => {
      if (this.#isCut(from, to)) {
        this.failed++;
        return done("failed");
      }
      done("ok");
      const id = `session ${++this.begun}`;
      const waits = from.roster.hasKey(to.self.key);
      const one = this.#end(from, to, id, { dialled: true, waits });
      const other = this.#end(to, from, id, { dialled: false, waits: false });
      if (!waits) this.#send(one, () => this.#joined(other));
      this.#send(other, () => this.#heard(one, other));
    });
  }

  /** Nobody of some reaches anybody of the others, and their sessions are lost. */
  part(isHere: (node: Node) => boolean): void {
    for (const one of this.nodes) {
      for (const other of this.nodes.filter((each) => isHere(each) !== isHere(one))) {
        this.cut.add(pairOf(one, other));
        for (const end of [...one.ends.values()].filter((each) => each.other === other)) {
          one.ends.delete(end.id);
          one.roster.left(end.id, "lost");
        }
      }
    }
  }

  /** Nobody of some reaches anybody of the others for a while; their sessions wait for it to be over. */
  breakOff(ms: number, isHere: (node: Node) => boolean): void {
    for (const one of this.nodes) {
      for (const end of one.ends.values()) {
        if (isHere(end.other) === isHere(one)) continue;
        this.cut.add(pairOf(one, end.other));
        end.away = true;
        one.roster.away(end.id);
        if (end.dialled) this.#redial(end);
      }
    }
    this.#after(ms, () => this.cut.clear());
  }

  /** Lets time pass until it is over, or all is as a test wants it. */
  run(ms: number, until = () => false): void {
    for (const end = this.now + ms; this.now < end && !until(); this.now += 10) {
      const due = this.#events.filter(({ at }) => at <= this.now);
      this.#events = this.#events.filter(({ at }) => at > this.now);
      for (const { event } of due) event();
      for (const node of this.nodes) this.#poll(node);
    }
  }

  /** Whether everybody has one session with everybody else. */
  get complete(): boolean {
    return this.nodes.every((node) => {
      const ends = [...node.ends.values()];
      const others = new Set(ends.map(({ other }) => other));
      if (ends.some(({ away, other, id }) => away || !other.ends.has(id))) return false;
      return others.size === this.nodes.length - 1 && node.ends.size === others.size;
    });
  }

  #end(node: Node, other: Node, id: string, how: Pick<End, "dialled" | "waits">): End {
    const nothingYet = { away: false, told: undefined, toldAt: -Infinity, arrives: 0 };
    const end: End = { node, other, id, ...how, ...nothingYet };
    node.ends.set(id, end);
    return end;
  }

  #poll(node: Node): void {
    for (const { id, addresses } of node.roster.dials.due()) {
      const at = formatAddress(addresses[0]!);
      const to = this.nodes.find(({ self }) => formatAddress(self.addresses[0]!) === at)!;
      this.dial(node, to, (result) => node.roster.dials.dialled(id, result));
    }
    for (const end of node.ends.values()) this.#tell(end);
  }

  #tell(end: End): void {
    const { revision } = end.node.roster;
    if (end.told === undefined || end.told === revision) return;
    if (this.now - end.toldAt < MEMBERS_MS) return;
    [end.told, end.toldAt] = [revision, this.now];
    const members = end.node.roster.linked(end.id);
    this.#send(end, () => end.other.roster.told(end.id, members));
  }

  /** Whoever dialled tries to find a session another connection. */
  #redial(end: End): void {
    const { node, other, id } = end;
    this.#after(REDIAL_MS * (0.5 + this.#random() / 2), () => {
      if (!end.away || !node.ends.has(id)) return;
      if (this.#isCut(node, other)) return this.#redial(end);
      const far = other.ends.get(id);
      if (!far) {
        node.ends.delete(id);
        return node.roster.left(id, "duplicate");
      }
      for (const each of [far, end]) {
        each.away = false;
        each.told = -1;
        each.node.roster.back(id);
      }
    });
  }

  /** The other end says who it is to whoever dialled. */
  #heard(end: End, other: End): void {
    const { node, id, waits } = end;
    if (waits && node.roster.isHere(other.node.self)) return this.#close(node, id);
    this.#joined(end);
    if (waits) this.#send(end, () => this.#joined(other));
  }

  #joined(end: End): void {
    const { node, other, id, dialled } = end;
    if (!node.ends.has(id)) return;
    const sessionId = new TextEncoder().encode(id);
    const verdict = node.roster.joined(id, other.self, {
      dialled,
      sessionId,
      onThisMachine: false,
    });
    end.told = -1;
    const loser = verdict.keep ? verdict.replaces : id;
    if (loser !== undefined) this.#close(node, loser);
  }

  /** A session is one too many; what is away is told when it asks again. */
  #close(node: Node, id: string): void {
    const end = node.ends.get(id);
    if (!end) return;
    node.ends.delete(id);
    if (end.away) return;
    this.#send(end, () => {
      if (end.other.ends.delete(id)) end.other.roster.left(id, "duplicate");
    });
  }

  #send(end: End, event: () => void): void {
    end.arrives = Math.max(end.arrives, this.now + this.#delay());
    this.#after(end.arrives - this.now, () => {
      if (!this.#isCut(end.node, end.other)) event();
    });
  }

  #isCut(one: Node, other: Node): boolean {
    return this.cut.has(pairOf(one, other));
  }

  #after(ms: number, event: () => void): void {
    this.#events.push({ at: this.now + ms, event });
  }

  #delay(): number {
    return 1 + this.#random() * 100;
  }
}

function pairOf({ self: one }: Node, { self: other }: Node): string {
  return [one.key[0]!, other.key[0]!].sort((a, b) => a - b).join(" ");
}

/** A mesh whose members have each dialled the first. */
function formed(size: number, seed: number): Mesh {
  const mesh = new Mesh(size, seed);
  for (const node of mesh.nodes.slice(1)) mesh.dial(node, mesh.nodes[0]!);
  mesh.run(20_000, () => mesh.complete);
  assert(mesh.complete, `seed ${seed}: complete`);
  return mesh;
}

for (const size of [3, 8, 24]) {
  Deno.test(`Roster: ${size} who know one of them alone all have sessions with each other`, () => {
    for (let seed = 1; seed <= 10; seed++) {
      const mesh = formed(size, seed);
      const pairs = size * (size - 1) / 2;
      assert(mesh.now < 5_000, `seed ${seed}: ${mesh.now} ms`);
      assert(mesh.begun <= pairs + 1, `seed ${seed}: ${mesh.begun} sessions for ${pairs} pairs`);
      const { begun } = mesh;
      mesh.run(60_000);
      assertEquals([mesh.begun, mesh.complete], [begun, true], "and nothing happens any more");
    }
  });
}

Deno.test("Roster: members in a row, each knowing the one before alone, all find each other", () => {
  for (let seed = 1; seed <= 10; seed++) {
    const mesh = new Mesh(10, seed);
    for (const [index, node] of mesh.nodes.slice(1).entries()) mesh.dial(node, mesh.nodes[index]!);
    mesh.run(20_000, () => mesh.complete);
    assert(mesh.complete && mesh.now < 10_000, `seed ${seed}: ${mesh.now} ms`);
  }
});

Deno.test("Roster: a mesh that was parted is whole again soon after it may be", () => {
  for (let seed = 1; seed <= 3; seed++) {
    const mesh = formed(8, seed);
    mesh.run(20_000);
    mesh.part(({ self }) => self.key[0]! <= 4);
    mesh.run(5 * 60_000);
    assert(mesh.failed < 16 * 2 * 40, `${mesh.failed} attempts in five minutes`);
    mesh.cut.clear();
    const healed = mesh.now;
    mesh.run(120_000, () => mesh.complete);
    assert(mesh.complete && mesh.now - healed < 10_000, `seed ${seed}: ${mesh.now - healed} ms`);
  }
});

Deno.test("Roster: 24 members whose connections break all go on, with one session for each pair", () => {
  for (let seed = 1; seed <= 3; seed++) {
    const mesh = formed(24, seed);
    mesh.run(20_000);
    const { begun, now } = mesh;
    mesh.breakOff(30_000, ({ self }) => self.key[0]! <= 12);
    mesh.run(30_000);
    assert(!mesh.complete);
    mesh.run(30_000, () => mesh.complete);
    assert(mesh.complete && mesh.now - now < 45_000, `seed ${seed}: ${mesh.now - now} ms`);
    assert(mesh.begun - begun <= 144, `${mesh.begun - begun} sessions for 144 that were broken`);
    const all = mesh.begun;
    mesh.run(120_000);
    assertEquals([mesh.begun, mesh.complete], [all, true], "and nothing happens any more");
  }
});

Deno.test("Roster: two who cannot reach each other try ever more rarely, and disturb nobody", () => {
  const mesh = new Mesh(4, 1);
  const [, , third, fourth] = mesh.nodes;
  mesh.cut.add(pairOf(third!, fourth!));
  for (const node of mesh.nodes.slice(1)) mesh.dial(node, mesh.nodes[0]!);
  mesh.run(3_600_000);
  assertEquals(mesh.begun, 5);
  assert(mesh.failed < 50, `${mesh.failed} attempts in an hour`);
});
