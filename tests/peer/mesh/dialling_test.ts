import { assertEquals } from "@std/assert";
import { Listener } from "../../../peer/listener.ts";
import type { Host } from "../../../peer/host.ts";
import { systemClock } from "../../../peer/clock.ts";
import { Dialling } from "../../../peer/mesh/dialling.ts";
import { UNREACHABLE } from "../../../peer/mesh/reachable.ts";
import type { Session } from "../../../peer/session.ts";
import { DialPlan } from "../../../protocol/dial_plan.ts";
import { memberId } from "../../../protocol/member.ts";
import { generateKeyPair } from "../../../protocol/noise.ts";
import { member } from "../../fakes/mesh_members.ts";
import { TcpProxy } from "../../fakes/tcp_proxy.ts";

Deno.test("Dialling: a session goes on where its member says that it is, and not only where it was told", async () => {
  const [alice, bob] = [generateKeyPair(), generateKeyPair()];
  await using listener = new Listener({
    host: "127.0.0.1",
    port: 0,
    identity: bob,
    name: () => "bob",
    admit: () => Promise.resolve(),
  });
  await using detour = new TcpProxy(listener.port);
  const over = new AbortController();
  const self = { key: alice.publicKey, instance: new Uint8Array(8) };
  const dials = new DialPlan({ self, now: () => systemClock.now() });
  const entered = Promise.withResolvers<Session>();
  const told = member(1, { key: bob.publicKey, began: 1, addresses: [at(detour.port)] });
  // What was told of it was of its program before, at an address where that is no more.
  const itself = { ...told, instance: told.instance.with(7, 2), addresses: [at(listener.port)] };
  const host = {
    identity: alice,
    name: "alice",
    network: { subscribe: () => () => {} },
    signal: over.signal,
  } as unknown as Host;
  const dialling = new Dialling({
    host,
    dials,
    clock: systemClock,
    reachable: () => UNREACHABLE,
    admit: () => Promise.resolve(),
    enter: (session) => Promise.resolve(entered.resolve(session)),
    memberOf: () => memberId(itself),
  });
  dials.tell("carol", member(9).key, [told], true);
  dialling.schedule();
  const near = await entered.promise;
  const far = (await listener.sessions.next())!;
  dials.linked(itself);
  const back = Promise.withResolvers<void>();
  far.onState = (state) => state === "connected" && back.resolve();
  detour.refuses = true;
  detour.cut();
  await Promise.race([back.promise, near.ended]);
  assertEquals(near.remote, `127.0.0.1:${listener.port}`);
  dialling.close();
  await Promise.all([near.end(), far.ended]);
});

function at(port: number) {
  return { host: "127.0.0.1", port };
}
