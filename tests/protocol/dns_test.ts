import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import {
  decodeDns,
  type DnsMessage,
  type DnsRecord,
  DnsType,
  encodeDns,
  mayBeQuery,
  sameName,
} from "../../protocol/dns.ts";
import { ProtocolError } from "../../protocol/errors.ts";

const fromHex = (hex: string) => Uint8Array.fromHex(hex.replaceAll(/\s/g, ""));

const HOST = ["a", "local"];
const record = { name: HOST, life: 120, flush: true } as const;

const TABLE: [name: string, hex: string, message: DnsMessage][] = [
  [
    "a question",
    "0000 0000 0001 0000 0000 0000  01 61 05 6c6f63616c 00 000c 0001",
    { answer: false, questions: [{ name: HOST, type: DnsType.ptr }], records: [] },
  ],
  [
    "an IPv4 address",
    "0000 8400 0000 0001 0000 0000  01 61 05 6c6f63616c 00 0001 8001 00000078 0004 c0a80114",
    {
      answer: true,
      questions: [],
      records: [{ ...record, type: DnsType.a, address: "192.168.1.20" }],
    },
  ],
  [
    "an IPv6 address",
    "0000 8400 0000 0001 0000 0000  01 61 05 6c6f63616c 00 001c 8001 00000078 0010" +
    "20010db8 00000000 00000000 00000020",
    {
      answer: true,
      questions: [],
      records: [{ ...record, type: DnsType.aaaa, address: "2001:db8::20" }],
    },
  ],
  [
    "a place, its host pointed to in part",
    "0000 8400 0000 0001 0000 0000  01 61 05 6c6f63616c 00 0021 8001 00000078 000a" +
    "0000 0000 1f90 01 62 c00e",
    {
      answer: true,
      questions: [],
      records: [{ ...record, type: DnsType.srv, port: 8080, target: ["b", "local"] }],
    },
  ],
  [
    "texts",
    "0000 8400 0000 0001 0000 0000  01 61 05 6c6f63616c 00 0010 8001 00000078 0008" +
    "03 6b3d76 03 c3a93d",
    {
      answer: true,
      questions: [],
      records: [{ ...record, type: DnsType.txt, texts: ["k=v", "é="] }],
    },
  ],
  [
    "a pointer, taken back, of a name pointed to as a whole",
    "0000 8400 0000 0001 0000 0000  01 61 05 6c6f63616c 00 000c 0001 00000000 0002 c00c",
    {
      answer: true,
      questions: [],
      records: [{ name: HOST, life: 0, flush: false, type: DnsType.ptr, target: HOST }],
    },
  ],
];

for (const [name, hex, message] of TABLE) {
  Deno.test(`DNS: ${name}, written and read`, () => {
    assertEquals(encodeDns(message).toHex(), fromHex(hex).toHex());
    assertEquals(decodeDns(fromHex(hex)), message);
  });

  Deno.test(`DNS: ${name} that ends too early is refused, wherever it ends`, () => {
    const bytes = fromHex(hex);
    for (let length = 0; length < bytes.length; length++) {
      assertThrows(() => decodeDns(bytes.subarray(0, length)), ProtocolError);
    }
  });
}

Deno.test("decodeDns() leaves out other types and classes, and reads what stands behind them", () => {
  const bytes = fromHex(
    "0000 8400 0000 0002 0000 0001" +
      "01 61 05 6c6f63616c 00 002f 8001 00000078 0003 ffffff" + // NSEC
      "c00c 0001 0003 00000078 0004 01020304" + // of class CHAOS
      "c00c 0001 0001 00000078 0004 c0a80114", // an additional record
  );
  const { records } = decodeDns(bytes);
  assertEquals(records, [{ ...record, flush: false, type: DnsType.a, address: "192.168.1.20" }]);
});

Deno.test("decodeDns() takes a question that wants an answer by unicast, and of any class", () => {
  const ask = (dnsClass: string) =>
    decodeDns(fromHex(`0000 0000 0001 0000 0000 0000 01 61 00 00ff ${dnsClass}`)).questions;
  assertEquals(ask("8001"), [{ name: ["a"], type: DnsType.any }]);
  assertEquals(ask("00ff"), [{ name: ["a"], type: DnsType.any }]);
  assertEquals(ask("0003"), []);
});

/** Where the data of the first record stands, behind a question of 7 bytes. */
const CHAIN_AT = 12 + 7 + 11;
const ASK = "0000 0000 0001 0000 0000 0000";

for (
  const [what, hex] of [
    ["a name that points to itself", `${ASK} c00c 000c 0001`],
    ["a name that points forwards", `${ASK} c010 000c 0001 01 61 00`],
    ["two names that point to each other", `${ASK} 01 61 c00c 000c 0001`],
    ["a label of a form that nobody has defined", `${ASK} 40 000c 0001`],
    ["text that is not UTF-8", `${ASK} 01 ff 00 000c 0001`],
    ["a name of 256 bytes", `${ASK} ${"013f".repeat(128)} 00 000c 0001`],
    ["more records than it has bytes for", "0000 8400 0000 0040 0000 0000"],
    ["too many records", "0000 8400 0000 0000 0000 0041"],
    [
      "an IPv4 address of 5 bytes",
      `0000 8400 0000 0001 0000 0000 00 0001 0001 00000078 0005 ${"01".repeat(5)}`,
    ],
    [
      "a name that goes on behind its record",
      "0000 8400 0000 0001 0000 0000 00 000c 0001 00000078 0002 0161 00",
    ],
    [
      "a text that goes on behind its record",
      "0000 8400 0000 0001 0000 0000 00 0010 0001 00000078 0002 0361 6161",
    ],
  ] as const
) {
  Deno.test(`decodeDns() refuses ${what}`, () => {
    assertThrows(() => decodeDns(fromHex(hex)), ProtocolError);
  });
}

Deno.test("decodeDns() follows 16 jumps, not 17", () => {
  /** The name "a" in a first question, then texts that point to each other, and a question for the last. */
  function jumping(jumps: number): Uint8Array {
    // Each pointer leads to the one before it; the first one to the "a" at 12.
    const chain = Array.from(
      { length: jumps - 1 },
      (_, index) => (0xc000 | (index === 0 ? 12 : CHAIN_AT + 2 * (index - 1))).toString(16),
    );
    const last = 0xc000 | (jumps === 1 ? 12 : CHAIN_AT + 2 * (jumps - 2));
    return fromHex(
      "0000 0000 0001 0002 0000 0000  01 61 00 0001 0001" +
        `00 ffff 0001 00000000 ${(2 * chain.length).toString(16).padStart(4, "0")} ${
          chain.join("")
        }` +
        `${last.toString(16)} 0001 0001 00000078 0004 c0a80114`,
    );
  }
  assertEquals(decodeDns(jumping(1)).records[0]!.name, ["a"]);
  assertEquals(decodeDns(jumping(16)).records[0]!.name, ["a"]);
  assertThrows(() => decodeDns(jumping(17)), ProtocolError, "leads nowhere");
});

Deno.test("decodeDns() refuses a message that is longer than Ethernet carries, unread", () => {
  assertThrows(() => decodeDns(new Uint8Array(1_473)), ProtocolError, "too long");
  assertEquals(mayBeQuery(new Uint8Array(1_473)), false);
  assertEquals(mayBeQuery(new Uint8Array(1_472)), true);
  assertEquals(mayBeQuery(new Uint8Array(11)), false);
  assertEquals(mayBeQuery(fromHex("0000 8400 0000 0000 0000 0000")), false);
});

Deno.test("sameName() tells the case of ASCII letters from nothing else", () => {
  assert(sameName(["_TCP", "Local"], ["_tcp", "local"]));
  assert(!sameName(["a", "b"], ["a"]));
  assert(!sameName(["É"], ["é"]));
  // The Kelvin sign is no k.
  assert(!sameName(["\u212a"], ["k"]));
});

Deno.test("decodeDns() makes a message of garbage, or a ProtocolError", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 1_500 }), (bytes) => {
      try {
        assert(decodeDns(bytes).records.length <= 64);
      } catch (error) {
        assert(error instanceof ProtocolError, String(error));
      }
    }),
    { numRuns: 2_000 },
  );
});

Deno.test("decodeDns() makes a message of an altered one, or a ProtocolError", () => {
  const good = TABLE.map(([, hex]) => fromHex(hex));
  const alterations = fc.array(fc.tuple(fc.nat(80), fc.nat(255)), { minLength: 1, maxLength: 6 });
  fc.assert(
    fc.property(fc.constantFrom(...good), alterations, (bytes, changes) => {
      const altered = bytes.slice();
      for (const [at, byte] of changes) altered[at % altered.length] = byte;
      try {
        decodeDns(altered);
      } catch (error) {
        assert(error instanceof ProtocolError, String(error));
      }
    }),
    { numRuns: 2_000 },
  );
});

Deno.test("decodeDns() reads what encodeDns() has written, whatever the names have in common", () => {
  const label = fc.constantFrom("a", "b", "local", "_tcp", "é".repeat(20));
  const name = fc.array(label, { minLength: 1, maxLength: 4 });
  const records = fc.array(fc.record({ name, target: name }), { maxLength: 10 });
  fc.assert(fc.property(records, (pairs) => {
    const written = pairs.map((pair): DnsRecord => ({
      ...pair,
      type: DnsType.ptr,
      life: 120,
      flush: false,
    }));
    const message = { answer: true, questions: [], records: written };
    assertEquals(decodeDns(encodeDns(message)), message);
  }));
});
