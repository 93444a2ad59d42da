import { assert, assertEquals, assertRejects } from "@std/assert";
import { join } from "../../../peer/commands/join.ts";
import type { Host } from "../../../peer/host.ts";
import { Listener } from "../../../peer/listener.ts";
import type { Peer, Room, Visit } from "../../../peer/room.ts";
import { AddressRoute, type Found, type Route } from "../../../peer/route.ts";
import type { Session } from "../../../peer/session.ts";
import type { NetworkChanges } from "../../../peer/network_watch.ts";
import { IdentityError, P2pError, UnreachableError } from "../../../protocol/errors.ts";
import { generateKeyPair } from "../../../protocol/noise.ts";
import { MemoryTrust } from "../../fakes/memory_trust.ts";

const ALICE = generateKeyPair();
const BOB = generateKeyPair();

/** Leads to bob, but first fails as a test wants it to. */
class FailingRoute implements Route {
  readonly target = "bob";
  readonly failures: Error[];
  readonly #route: Route;
  tried = 0;
  onTry = () => {};

  constructor(port: number, failures: Error[]) {
    this.failures = failures;
    const address = { host: "127.0.0.1", port };
    this.#route = new AddressRoute(address, { identity: ALICE, trust: new MemoryTrust() });
  }

  async connect(signal: AbortSignal): Promise<Found> {
    this.tried++;
    this.onTry();
    const failure = this.failures.shift();
    if (failure) throw failure;
    return await this.#route.connect(signal);
  }

  admit(name: string, key: Uint8Array): Promise<void> {
    return this.#route.admit(name, key);
  }
}

/** Alice, who joins; bob, who listens; and what is told. */
class Rig implements AsyncDisposable {
  readonly listener = new Listener({
    host: "127.0.0.1",
    port: 0,
    identity: BOB,
    name: () => "bob",
    admit: () => Promise.resolve(),
  });
  readonly told: string[] = [];
  readonly over = new AbortController();
  readonly entered: Session[] = [];
  readonly route: FailingRoute;
  /** How each visit goes. */
  onEnter = async (session: Session): Promise<{ here: boolean }> => {
    await session.end();
    return { here: true };
  };

  constructor(...failures: Error[]) {
    this.route = new FailingRoute(this.listener.port, failures);
  }

  join(): Promise<void> {
    const output = {
      warn: (...lines: string[]) => void this.told.push(...lines),
      error: ({ message }: { message: string }) => void this.told.push(`error: ${message}`),
    };
    const network = { subscribe: () => () => {} } as unknown as NetworkChanges;
    const host = { name: "alice", identity: ALICE, output, network } as unknown as Host;
    const room = {
      enter: async (session: Session, dialled: boolean): Promise<Visit> => {
        assert(dialled);
        this.entered.push(session);
        const peer = await this.onEnter(session) as Peer;
        return { peer, end: await session.ended, received: false, missed: false };
      },
      tell: ({ message }: { message: string }) => void this.told.push(message),
    } as unknown as Room;
    return join(host, room, this.route, this.over.signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.listener.close();
    await Promise.all(this.entered.map((session) => session.end()));
    for await (const session of this.listener.sessions) await session.end();
    await this.listener[Symbol.asyncDispose]();
  }
}

Deno.test("join() tries again until somebody is there, and says so once", async () => {
  await using rig = new Rig(
    new UnreachableError("Could not reach bob"),
    new UnreachableError("Could not reach bob"),
    new UnreachableError("Could not reach bob"),
  );
  await rig.join();
  assertEquals([rig.route.tried, rig.entered.length], [4, 1]);
  assertEquals(rig.told, ["Could not reach bob; trying again until it is there"]);
});

Deno.test("join() ends with the first visit, and tells what ended it", async () => {
  await using rig = new Rig();
  rig.onEnter = async (session) => {
    await session.fail(new UnreachableError("Lost bob: the cable is out"));
    return { here: true };
  };
  await rig.join();
  assertEquals([rig.route.tried, rig.told], [1, ["Lost bob: the cable is out"]]);
});

Deno.test("join() tries again where somebody was lost before they said who they are", async () => {
  await using rig = new Rig();
  let visits = 0;
  rig.onEnter = async (session) => {
    if (++visits === 2) await session.end();
    else await session.fail(new UnreachableError("Lost bob: the cable is out"));
    return { here: visits === 2 };
  };
  await rig.join();
  assertEquals([rig.route.tried, visits], [2, 2]);
  assertEquals(rig.told, ["Lost bob: the cable is out; trying again until it is there"]);
});

for (
  const failure of [
    new IdentityError("Another key is known for bob"),
    new P2pError("Something that stays wrong"),
  ]
) {
  Deno.test(`join() tells what waiting does not make better, and ends: ${failure.code}`, async () => {
    await using rig = new Rig(failure);
    await rig.join();
    assertEquals([rig.route.tried, rig.told], [1, [`error: ${failure.message}`]]);
  });
}

Deno.test("join() rejects with what should never happen", async () => {
  await using rig = new Rig(new TypeError("a mistake"));
  await assertRejects(() => rig.join(), TypeError, "a mistake");
});

Deno.test("join() ends without a word when it is told to, while it dials or waits", async () => {
  const unreachable = () => new UnreachableError("Could not reach bob");
  await using dialling = new Rig(unreachable());
  dialling.route.onTry = () => dialling.over.abort();
  await dialling.join();
  assertEquals([dialling.route.tried, dialling.told], [1, []]);
  await using waiting = new Rig(unreachable(), unreachable(), unreachable());
  waiting.told.push = (...lines) => {
    waiting.over.abort();
    return Array.prototype.push.apply(waiting.told, lines);
  };
  await waiting.join();
  assertEquals([waiting.route.tried, waiting.told.length], [1, 1]);
  await using over = new Rig();
  over.over.abort();
  await over.join();
  assertEquals(over.route.tried, 0);
});
