import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import fc from "fast-check";
import { NAME_GRACE_MS } from "../../protocol/limits.ts";
import type { Holder } from "../../relay/names.ts";
import { type HttpRequest, MAX_HEAD_BYTES, parseRequest } from "../../relay/http_request.ts";
import { ask, HttpClient } from "../fakes/http_client.ts";
import { fakeRelayContext } from "../fakes/relay_context.ts";
import { settled } from "../fakes/clock.ts";

const get = (path: string, more = "") =>
  `GET ${path} HTTP/1.1\r\nHost: relay.example:8080\r\n${more}\r\n`;

Deno.test("GET / shows what this is, how many are there, and commands with address and key", async () => {
  const context = fakeRelayContext();
  context.counters.introductions = 4711;
  const { status, headers, body } = await ask(context, get("/"));
  assertEquals(status, 200);
  assertEquals(headers["Content-Type"], "text/html; charset=utf-8");
  assertEquals(headers["Connection"], "close");
  assertEquals(Number(headers["Content-Length"]), new TextEncoder().encode(body).length);
  const key = context.identity.publicKey.toBase64({ alphabet: "base64url", omitPadding: true });
  assertStringIncludes(body, `p2p listen --name NAME --relay relay.example:8080#${key}</code>`);
  assertStringIncludes(body, `p2p connect NAME --relay relay.example:8080#${key}</code>`);
  assertStringIncludes(body, "4711");
  assert(!body.includes("--password-file"));
});

Deno.test("the page of a relay with a password says so", async () => {
  const { body } = await ask(fakeRelayContext({ password: "sesame" }), get("/"));
  assertStringIncludes(body, "--password-file FILE");
  assert(!body.includes("sesame"));
});

Deno.test("the page runs no script, shows only its own style, and is kept nowhere", async () => {
  const { headers, body } = await ask(fakeRelayContext(), get("/"));
  const policy = headers["Content-Security-Policy"]!;
  assertMatch(policy, /^default-src 'none'; style-src 'sha256-[\w+/]+=*'; /);
  assert(!/<script|\son\w+=|javascript:|https?:/i.test(body));
  const style = /<style>([\s\S]*)<\/style>/.exec(body)![1]!;
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(style));
  assertStringIncludes(policy, `'sha256-${new Uint8Array(digest).toBase64()}'`);
  assertEquals(headers["Cache-Control"], "no-store");
  assertEquals(headers["X-Content-Type-Options"], "nosniff");
});

for (
  const [host, shown] of [
    ["relay.example", "relay.example:80"],
    ["192.0.2.1:8080", "192.0.2.1:8080"],
    ["[2001:db8::1]:8080", "[2001:db8::1]:8080"],
    ["<script>alert(1)</script>", "HOST:PORT"],
    ["a;rm -rf ~", "HOST:PORT"],
    ["$(id):80", "HOST:PORT"],
    ["`id`", "HOST:PORT"],
    ["a&b", "HOST:PORT"],
    ['a"onload="x', "HOST:PORT"],
    ["user@host", "HOST:PORT"],
    ["b\xfccher.example", "HOST:PORT"],
    ["", "HOST:PORT"],
  ] as const
) {
  Deno.test(`for the Host ${JSON.stringify(host)} the page shows ${shown}`, async () => {
    const { body } = await ask(fakeRelayContext(), `GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
    assertStringIncludes(body, `--relay ${shown}#`);
    if (shown === "HOST:PORT" && host) assert(!body.includes(host));
  });
}

Deno.test("HEAD is answered like GET, without the body", async () => {
  const context = fakeRelayContext();
  for (const path of ["/", "/health", "/metrics", "/nothing"]) {
    const whole = await ask(context, get(path));
    const head = await ask(context, get(path).replace("GET", "HEAD"));
    assertEquals(head, { ...whole, body: "" });
  }
});

Deno.test("GET /health says whether newcomers are let in", async () => {
  const context = fakeRelayContext();
  const { status, body } = await ask(context, get("/health"));
  assertEquals([status, body], [200, "ok\n"]);
  context.drain();
  const { status: later, body: words } = await ask(context, get("/health"));
  assertEquals([later, words], [503, "draining\n"]);
});

Deno.test("GET /metrics has the numbers in Prometheus's text format", async () => {
  const context = fakeRelayContext();
  const anna: Holder = { kind: "udp", ip: "::1", source: "x", name: undefined, replaced() {} };
  context.names.register("anna", anna, 0);
  context.refusals.note("TooFast");
  context.counters.circuitBytes = 2 ** 40;
  const { headers, body } = await ask(context, get("/metrics"));
  assertEquals(headers["Content-Type"], "text/plain; version=0.0.4; charset=utf-8");
  const lines = body.split("\n");
  for (
    const line of [
      "# TYPE p2p_relay_registrations gauge",
      'p2p_relay_registrations{carrier="udp"} 1',
      'p2p_relay_registrations{carrier="control"} 0',
      'p2p_relay_registrations{carrier="websocket"} 0',
      "# TYPE p2p_relay_refusals_total counter",
      'p2p_relay_refusals_total{reason="TooFast"} 1',
      "p2p_relay_circuit_bytes_total 1099511627776",
      "p2p_relay_connections 0",
      `p2p_relay_connections_limit ${context.counters.maxConnections}`,
      "p2p_relay_circuits 0",
      "p2p_relay_circuits_total 0",
      "p2p_relay_introductions_total 0",
    ]
  ) assert(lines.includes(line), `${line} is missing in\n${body}`);
  for (const line of lines.slice(0, -1)) {
    assertMatch(line, /^(# (HELP|TYPE) p2p_relay_\w+ .+|p2p_relay_\w+(\{\w+="\w+"\})? \d+)$/);
  }
  assert(!body.includes("anna"), "names are nobody's business");
});

Deno.test("a name that was kept for long enough is counted no more", async () => {
  const context = fakeRelayContext();
  const anna: Holder = {
    kind: "control",
    ip: "::1",
    source: "x",
    key: context.identity.publicKey,
    name: undefined,
    replaced() {},
  };
  context.names.register("anna", anna, context.clock.now());
  context.names.lost(anna, context.clock.now());
  const held = async () =>
    /^p2p_relay_registrations{carrier="control"} \d/m.exec(
      (await ask(context, get("/metrics"))).body,
    )![0].at(-1);
  assertEquals(await held(), "1");
  await context.clock.advance(NAME_GRACE_MS);
  assertEquals(await held(), "0");
});

for (
  const [what, request, status] of [
    ["another path", get("/nothing"), 404],
    ["a path that every object has", get("/constructor"), 404],
    ["another such path", get("/__proto__"), 404],
    ["a path with dots", get("/../etc/passwd"), 404],
    ["a query", get("/health?a=b"), 200],
    ["a whole URL", get("http://relay.example:8080/health"), 200],
    ["a whole URL without a path", get("http://relay.example"), 200],
    ["a method that writes", "POST / HTTP/1.1\r\nHost: a\r\n\r\n", 405],
    ["a body of no bytes", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", 405],
    ["OPTIONS of all", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 404],
    ["OPTIONS of a page", "OPTIONS /metrics HTTP/1.1\r\nHost: a\r\n\r\n", 405],
    ["HTTP/1.0 without a host", "GET /health HTTP/1.0\r\n\r\n", 200],
    ["lines that end in a newline alone", "GET /health HTTP/1.1\nHost: a\n\n", 200],
    ["/ws without an upgrade", get("/ws"), 426],
    ["/ws with an upgrade to HTTP/2", get("/ws", "Connection: Upgrade\r\nUpgrade: h2c\r\n"), 426],
    ["HTTP/1.1 without a host", "GET / HTTP/1.1\r\n\r\n", 400],
    ["two hosts", get("/", "Host: other\r\n"), 400],
    ["HTTP/0.9", "GET /\r\n\r\n", 400],
    ["HTTP/2's version", "GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505],
    ["a version in small letters", "GET / http/1.1\r\nHost: a\r\n\r\n", 400],
    ["two spaces", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400],
    ["four words", "GET / HTTP/1.1 x\r\nHost: a\r\n\r\n", 400],
    ["a tab for a space", "GET /\tHTTP/1.1\r\nHost: a\r\n\r\n", 400],
    ["a path without its slash", get("health"), 400],
    ["a fragment", get("/#x"), 400],
    ["a path with bytes that are not ASCII", get("/\xfc"), 400],
    ["chunks", get("/", "Transfer-Encoding: chunked\r\n"), 400],
    ["chunks behind a tab", get("/", "Transfer-Encoding:\tchunked\r\n"), 400],
    ["a body", get("/", "Content-Length: 5\r\n") + "hello", 400],
    ["two lengths", get("/", "Content-Length: 0\r\nContent-Length: 5\r\n"), 400],
    ["a list of lengths", get("/", "Content-Length: 0, 5\r\n"), 400],
    ["a length with a sign", get("/", "Content-Length: +0\r\n"), 400],
    ["a length and chunks", get("/", "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n"), 400],
    ["a space before a colon", get("/", "Transfer-Encoding : chunked\r\n"), 400],
    ["a header without a name", get("/", ": a\r\n"), 400],
    ["a header without a colon", get("/", "hello\r\n"), 400],
    ["a line that goes on", get("/", "X: a\r\n b\r\n"), 400],
    ["a first header line with a space", "GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400],
    ["a carriage return within a line", get("/", "X: a\rTransfer-Encoding: chunked\r\n"), 400],
    ["NUL within a header", get("/", "X: a\0b\r\n"), 400],
    ["an empty first line", "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400],
    ["a head of one byte too many", get("/", `X: ${"a".repeat(MAX_HEAD_BYTES)}\r\n`), 431],
    ["too many headers", get("/", "X: a\r\n".repeat(MAX_HEAD_BYTES / 6)), 431],
    ["a first line without an end", `GET /${"a".repeat(MAX_HEAD_BYTES)}`, 431],
  ] as const
) {
  Deno.test(`a request with ${what} is answered with ${status}`, async () => {
    const { status: answered, headers } = await ask(fakeRelayContext(), request);
    assertEquals(answered, status);
    assertEquals(headers["Connection"]?.includes("close"), true);
    assertEquals(headers["Allow"], status === 405 ? "GET, HEAD" : undefined);
  });
}

Deno.test("what stands behind a request is not taken for another", async () => {
  const client = new HttpClient(fakeRelayContext());
  await client.send(get("/health") + get("/metrics"));
  const text = await client.text();
  assertEquals(text.match(/HTTP\/1\.1/g)?.length, 1);
  assert(text.endsWith("\r\n\r\nok\n"));
});

for (const chunk of [1, 2, 7, 600]) {
  Deno.test(`a request that comes ${chunk} bytes at a time is the same request`, async () => {
    const { status, body } = await ask(fakeRelayContext(), get("/health", "X: y\r\n"), chunk);
    assertEquals([status, body], [200, "ok\n"]);
  });
}

Deno.test("a head that is not whole after 10 s ends the connection, however it trickles", async () => {
  const context = fakeRelayContext();
  const client = new HttpClient(context);
  await client.send("GET / HTTP/1.1\r\nHost: a\r\n");
  for (let second = 0; second < 9; second++) {
    await context.clock.advance(1_000);
    await client.send("X: y\r\n");
  }
  assertEquals(client.connection.closed, false);
  await context.clock.advance(1_000);
  await client.served;
  assertEquals(await client.connection.read(), null);
  assertEquals(context.clock.pending, 0);
});

Deno.test("a connection that ends or breaks within a head is over", async () => {
  for (const end of ["closeWrite", "cut", "close"] as const) {
    const context = fakeRelayContext();
    const client = new HttpClient(context);
    await client.send("GET / HT");
    await client.connection[end]();
    await client.served;
    assertEquals(context.clock.pending, 0);
  }
});

Deno.test("a client that does not read its answer is closed after a second", async () => {
  const context = fakeRelayContext();
  const client = new HttpClient(context);
  await client.send(get("/"));
  await settled();
  await context.clock.advance(1_000);
  await client.served;
  assertEquals(context.clock.pending, 0);
});

Deno.test("parseRequest() joins headers of one name, in whatever case", () => {
  const lines = ["GET / HTTP/1.1", "host: a", "X-A:1", "x-a:  2 \t", "__proto__: b"];
  const { headers } = parseRequest(lines) as HttpRequest;
  assertEquals(headers["x-a"], "1, 2");
  assertEquals(Object.keys(headers), ["host", "x-a", "__proto__"]);
});

for (
  const [what, value, status] of [
    ["blanks around a carriage return", `${" ".repeat(8_000)}\rx`, 400],
    ["blanks between two letters", `x${" ".repeat(8_000)}x`, 200],
    ["tabs and nothing else", "\t".repeat(8_000), 200],
    ["commas and blanks", ", ".repeat(4_000), 200],
  ] as const
) {
  Deno.test(`a header of ${what} holds nobody up`, async () => {
    const begun = performance.now();
    const answer = await ask(fakeRelayContext(), get("/health", `Connection:${value}\r\n`));
    assertEquals(answer.status, status);
    assert(performance.now() - begun < 500);
  });
}

Deno.test("whatever comes is answered once, or not at all, and never throws", async () => {
  const line = fc.oneof(
    fc.constantFrom("GET / HTTP/1.1", "Host: a", "Content-Length: 0", "", "Connection: upgrade"),
    fc.string({ unit: "binary", maxLength: 60 }),
  );
  const lines = fc.array(line, { maxLength: 12 });
  await fc.assert(
    fc.asyncProperty(lines, fc.constantFrom("\r\n", "\n", "\r"), async (lines, end) => {
      const client = new HttpClient(fakeRelayContext());
      await client.send(`GET ${lines.join(end)}`);
      await client.connection.closeWrite();
      const text = await client.text();
      assert(text === "" || /^HTTP\/1\.1 (200|400|404|405|426|431|505) /.test(text), text);
      assert((text.match(/^HTTP\/1\.1/gm)?.length ?? 0) <= 1);
    }),
  );
});
