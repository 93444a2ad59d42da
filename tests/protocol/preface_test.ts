import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { encodeText } from "../../protocol/bytes.ts";
import { ProtocolError } from "../../protocol/errors.ts";
import { MAX_PREFACE_BYTES } from "../../protocol/limits.ts";
import {
  CIRCUIT_ANSWER,
  circuitPreface,
  classifyFirstBytes,
  errorPreface,
  type FirstBytes,
  parsePreface,
  RELAY_PREFACE,
  SESSION_PREFACE,
  TLS_PREFACE,
} from "../../protocol/preface.ts";

Deno.test("the lines of our own making are those of the specification", () => {
  assertEquals(SESSION_PREFACE.toHex(), "7032702f312073657373696f6e0a");
  assertEquals(TLS_PREFACE.toHex(), "7032702f3120746c730a");
  assertEquals(RELAY_PREFACE.toHex(), "7032702f312072656c61790a");
  assertEquals(CIRCUIT_ANSWER.toHex(), "7032702f3120636972637569740a");
  assertEquals(
    circuitPreface(Uint8Array.fromHex("00112233445566778899aabbccddeeff")),
    encodeText("p2p/1 circuit 00112233445566778899aabbccddeeff\n"),
  );
});

for (
  const [line, preface] of [
    ["p2p/1 session", { word: "session" }],
    ["p2p/1 session more", { word: "session" }],
    ["p2p/1 error too busy  today", { word: "error", text: "too busy  today" }],
    ["p2p/1 error", { word: "error", text: "" }],
    ["p2p/1 relay", { word: "relay" }],
    ["p2p/1 tls", { word: "tls" }],
    ["p2p/1 circuit", { word: "circuit", token: undefined }],
    ["p2p/1 circuit abc", { word: "circuit", token: undefined }],
    ["p2p/1 circuit 00112233445566778899AABBCCDDEEFF", { word: "circuit", token: undefined }],
    ["p2p/1 circuit 00112233445566778899aabbccddeeff", {
      word: "circuit",
      token: Uint8Array.fromHex("00112233445566778899aabbccddeeff"),
    }],
    ["p2p/1 tunnel abc", { word: "unknown", text: "tunnel" }],
    ["p2p/1", { word: "unknown", text: "" }],
    ["p2p/2 session", { word: "version", text: "2" }],
    ["p2p/10 session", { word: "version", text: "10" }],
    ["p2p/", { word: "version", text: "" }],
  ] as const
) {
  Deno.test(`parsePreface() reads ${JSON.stringify(line)}`, () => {
    assertEquals(parsePreface(encodeText(line)), preface);
  });
}

for (const line of ["", "p2p", "P2P/1 session", " p2p/1 session", "HTTP/1.1 200 OK", "SSH-2.0-x"]) {
  Deno.test(`parsePreface() refuses ${JSON.stringify(line)} with a hint`, () => {
    const error = assertThrows(
      () => parsePreface(encodeText(line)),
      ProtocolError,
    ) as ProtocolError;
    assert(error.hint);
  });
}

for (
  const [start, kind] of [
    ["p2p/1 session\n", "p2p"],
    ["p2p/", "p2p"],
    ["p2p/9", "p2p"],
    ["GET / HTTP/1.1", "http"],
    ["HEAD /", "http"],
    ["POST /x", "http"],
    ["OPTIONS * HTTP/1.1", "http"],
    ["GETTING", "text"],
    ["hello", "text"],
    ["p2q", "text"],
    ["\n", "text"],
    ["\x16\x03\x01", "text"],
    ["get / HTTP", "text"],
  ] as [string, FirstBytes][]
) {
  Deno.test(`classifyFirstBytes() knows ${JSON.stringify(start)} as ${kind}, from the first byte that decides`, () => {
    const bytes = encodeText(start);
    assertEquals(classifyFirstBytes(bytes), kind);
    let decided: FirstBytes;
    for (let length = 0; length <= bytes.length; length++) {
      const now = classifyFirstBytes(bytes.subarray(0, length));
      assert(decided === undefined || now === decided, "it changed its mind");
      decided = now;
    }
    assertEquals(decided, kind);
  });
}

Deno.test("classifyFirstBytes() has decided after eight bytes, whatever they are", () => {
  fc.assert(fc.property(fc.uint8Array({ minLength: 8, maxLength: 20 }), (bytes) => {
    assert(classifyFirstBytes(bytes) !== undefined);
  }));
});

Deno.test("errorPreface() is one line within the limit, whatever the text", () => {
  fc.assert(fc.property(fc.string({ unit: "grapheme", maxLength: 400 }), (text) => {
    const line = errorPreface(text);
    assert(line.length <= MAX_PREFACE_BYTES);
    assertEquals(line.indexOf(0x0a), line.length - 1);
    assertEquals(parsePreface(line.subarray(0, -1)).word, "error");
  }));
  assertEquals(new TextDecoder().decode(errorPreface("go\r\naway\n")), "p2p/1 error go away \n");
});
