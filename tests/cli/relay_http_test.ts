import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { Program } from "../fakes/program.ts";

Deno.test("a browser is shown how to meet at a relay, a monitor its health and numbers", async () => {
  await using relay = await Program.relay();
  const at = `http://${relay.address}`;
  const page = await fetch(at);
  assertEquals(page.status, 200);
  assertStringIncludes(await page.text(), `p2p connect NAME --relay ${relay.address}#`);
  assertEquals(await (await fetch(`${at}/health`)).text(), "ok\n");
  const metrics = await (await fetch(`${at}/metrics`)).text();
  assertStringIncludes(metrics, 'p2p_relay_registrations{carrier="control"} 0\n');
  const head = await fetch(at, { method: "HEAD" });
  assert(Number(head.headers.get("content-length")) > 1_000);
  await head.body?.cancel();
  const post = await fetch(`${at}/metrics`, { method: "POST" });
  assertEquals([post.status, post.headers.get("allow")], [405, "GET, HEAD"]);
  await post.body?.cancel();
});

/** What a WebSocket is sent next. */
function hears(socket: WebSocket): Promise<string> {
  return new Promise((resolve, reject) => {
    socket.onmessage = ({ data }) => resolve(data);
    socket.onerror = reject;
  });
}

/** Resolves with an event of this name. */
function happens(socket: WebSocket, event: "open" | "close"): Promise<Event> {
  return new Promise((resolve) => socket.addEventListener(event, resolve, { once: true }));
}

Deno.test("a relay that runs keeps names and addresses over WebSocket", async () => {
  await using relay = await Program.relay();
  const anna = new WebSocket(`ws://${relay.address}/ws`);
  await happens(anna, "open");
  anna.send('{"Register":{"username":"anna","address":"203.0.113.7:8080"}}');
  assertEquals(await hears(anna), '"RegisterAck"');
  anna.send('{"Connect":{"target_username":"anna"}}');
  assertEquals(
    await hears(anna),
    '{"PeerInfo":{"peer":"203.0.113.7:8080","username":"anna"}}',
  );
  const closed = happens(anna, "close");
  relay.kill("SIGTERM");
  assertStringIncludes(await hears(anna), '{"Refused":{"code":"Draining"');
  await closed;
  assertEquals((await relay.finished()).code, 0);
});
