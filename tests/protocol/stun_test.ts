import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import type { Address } from "../../protocol/address.ts";
import { crc32 } from "../../protocol/crc32.ts";
import { encodeText } from "../../protocol/bytes.ts";
import { ProtocolError } from "../../protocol/errors.ts";
import { ipFromBytes } from "../../protocol/ip_address.ts";
import {
  decodeStunAnswer,
  decodeStunRequest,
  encodeStunAnswer,
  encodeStunRequest,
} from "../../protocol/stun.ts";
import published from "../vectors/stun.json" with { type: "json" };

const TRANSACTION = "b7e7a701bc34d686fa87dfae";
const COOKIE = "2112a442";
const IPV4: Address = { host: "192.0.2.1", port: 32_853 };
const IPV6: Address = { host: "2001:db8:1234:5678:11:2233:4455:6677", port: 32_853 };

const fromHex = (hex: string) => Uint8Array.fromHex(hex.replaceAll(" ", ""));

/** A request with these attributes, its length put in. */
function request(attributes = "", id = COOKIE + TRANSACTION): Uint8Array {
  const body = attributes.replaceAll(" ", "");
  const length = (body.length / 2).toString(16).padStart(4, "0");
  return fromHex(`0001${length}${id}${body}`);
}

function answer(
  bytes: Uint8Array,
  from: Address = IPV4,
  other?: Address,
): string | undefined {
  return encodeStunAnswer(decodeStunRequest(bytes), from, other)?.toHex();
}

for (const { address, port, transaction, message } of published.responses) {
  Deno.test(`decodeStunAnswer() finds ${address} in the published response`, () => {
    assertEquals(decodeStunAnswer(fromHex(message), fromHex(transaction)), {
      mapped: { host: address, port },
      other: undefined,
    });
  });

  Deno.test(`encodeStunAnswer() writes ${address} as the published response does`, () => {
    const written = answer(request("", COOKIE + transaction), { host: address, port })!;
    assert(message.includes(written.slice(40)), written);
  });

  Deno.test(`decodeStunAnswer() refuses the published response for ${address} with any bit flipped under its fingerprint`, () => {
    const attributes = fromHex(message).length - 8;
    for (let at = 20; at < attributes; at++) {
      const altered = fromHex(message);
      altered[at]! ^= 0x10;
      assertThrows(() => decodeStunAnswer(altered, fromHex(transaction)), ProtocolError);
    }
  });
}

Deno.test("decodeStunRequest() reads the published request, of which PRIORITY is not understood", () => {
  const { message, transaction } = published.request;
  assertEquals(decodeStunRequest(fromHex(message)), {
    id: fromHex(COOKIE + transaction),
    classic: false,
    unknown: [0x0024],
    changeAddress: false,
    changePort: false,
    length: message.length / 2,
  });
});

Deno.test("decodeStunRequest() refuses the published request with any bit flipped", () => {
  const { message } = published.request;
  const fingerprint = message.length / 2 - 8;
  for (let at = 8; at < message.length / 2; at++) {
    // Another type would make of the fingerprint something else.
    if (at === fingerprint || at === fingerprint + 1) continue;
    const altered = fromHex(message);
    altered[at]! ^= 0x01;
    assertThrows(() => decodeStunRequest(altered), ProtocolError);
  }
});

Deno.test("decodeStunRequest() takes a fingerprint only at the end", () => {
  const fingerprinted = (behind: string) => {
    const bytes = request(`80280004 00000000 ${behind}`);
    const sum = (crc32(bytes.subarray(0, 20)) ^ 0x5354554e) >>> 0;
    new DataView(bytes.buffer).setUint32(24, sum);
    return bytes;
  };
  assertEquals(decodeStunRequest(fingerprinted("")).unknown, []);
  assertThrows(() => decodeStunRequest(fingerprinted("80220000")), ProtocolError, "fingerprint");
});

Deno.test("crc32() has the check value that everybody has", () => {
  assertEquals(crc32(encodeText("123456789")), 0xcbf43926);
  assertEquals(crc32(new Uint8Array(0)), 0);
});

for (
  const [what, attributes, from, hex] of [
    ["a request for IPv4", "", IPV4, `0101000c${COOKIE}${TRANSACTION}002000080001a147e112a643`],
    [
      "a request for IPv6",
      "",
      IPV6,
      `01010018${COOKIE}${TRANSACTION}002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d9`,
    ],
    [
      "an IPv4 address that a socket shows as IPv6",
      "",
      { host: "::ffff:192.0.2.1", port: 32_853 },
      `0101000c${COOKIE}${TRANSACTION}002000080001a147e112a643`,
    ],
    [
      "a request with optional and known attributes",
      "80220003 61626300 00260004 00000000 0006000161000000",
      IPV4,
      `0101000c${COOKIE}${TRANSACTION}002000080001a147e112a643`,
    ],
    [
      "CHANGE-REQUEST without flags",
      "00030004 00000000",
      IPV4,
      `0101000c${COOKIE}${TRANSACTION}002000080001a147e112a643`,
    ],
    [
      "what stands behind MESSAGE-INTEGRITY",
      `00080014 ${"00".repeat(20)} 7abc0000`,
      IPV4,
      `0101000c${COOKIE}${TRANSACTION}002000080001a147e112a643`,
    ],
    [
      "one attribute that is not understood",
      "7abc0000",
      IPV4,
      `01110010${COOKIE}${TRANSACTION}0009000400000414000a00027abc0000`,
    ],
    [
      "three that are not understood, one of them twice",
      "00020000 7abc0000 00020000 00240000",
      IPV4,
      `01110014${COOKIE}${TRANSACTION}0009000400000414000a000600027abc00240000`,
    ],
    [
      "CHANGE-REQUEST for another port",
      "00030004 00000002",
      IPV4,
      `0101000c${COOKIE}${TRANSACTION}002000080001a147e112a643`,
    ],
    ["CHANGE-REQUEST for another address", "00030004 00000004", IPV4, undefined],
    ["CHANGE-REQUEST for both", "00030004 00000006", IPV4, undefined],
    ["CHANGE-REQUEST once for each", "00030004 00000002 00030004 00000004", IPV4, undefined],
    [
      "what is not understood before another address",
      "00030004 00000004 7abc0000",
      IPV4,
      `01110010${COOKIE}${TRANSACTION}0009000400000414000a00027abc0000`,
    ],
    ["an address that is none", "", { host: "relay.example", port: 1 }, undefined],
  ] as [string, string, Address, string | undefined][]
) {
  Deno.test(`encodeStunAnswer() answers ${what}`, () => {
    assertEquals(answer(request(attributes), from), hex);
  });
}

const OTHER: Address = { host: "0.0.0.0", port: 8_081 };
const OTHER_IPV6: Address = { host: "::", port: 8_081 };
const PADDED = (length: number) =>
  `8022${length.toString(16).padStart(4, "0")}${"20".repeat(length)}`;

for (
  const [what, attributes, from, other, hex] of [
    [
      "a request that is as long as the answer",
      PADDED(20),
      IPV4,
      OTHER,
      `01010018${COOKIE}${TRANSACTION}002000080001a147e112a643802c000800011f9100000000`,
    ],
    [
      "one that is shorter, without it",
      PADDED(16),
      IPV4,
      OTHER,
      `0101000c${COOKIE}${TRANSACTION}002000080001a147e112a643`,
    ],
    [
      "one for IPv6 that is as long as the answer",
      PADDED(44),
      IPV6,
      OTHER_IPV6,
      `01010030${COOKIE}${TRANSACTION}002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d9` +
      `802c001400021f91${"00".repeat(16)}`,
    ],
    [
      "one for IPv6 that is shorter, without it",
      PADDED(40),
      IPV6,
      OTHER_IPV6,
      `01010018${COOKIE}${TRANSACTION}002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d9`,
    ],
    [
      "a server's name instead of its address, without it",
      PADDED(44),
      IPV4,
      { host: "relay.example", port: 1 },
      `0101000c${COOKIE}${TRANSACTION}002000080001a147e112a643`,
    ],
  ] as [string, string, Address, Address, string][]
) {
  Deno.test(`encodeStunAnswer() tells where else it answers: ${what}`, () => {
    assertEquals(answer(request(attributes), from, other), hex);
  });
}

for (
  const [flags, changeAddress, changePort] of [
    ["00000000", false, false],
    ["00000002", false, true],
    ["00000004", true, false],
    ["00000006", true, true],
    ["fffffff9", false, false],
  ] as const
) {
  Deno.test(`decodeStunRequest() reads the flags ${flags} of CHANGE-REQUEST`, () => {
    const read = decodeStunRequest(request(`00030004${flags}`));
    assertEquals([read.changeAddress, read.changePort], [changeAddress, changePort]);
  });
}

const CLASSIC = "00112233445566778899aabbccddeeff";

for (
  const [what, attributes, from, hex] of [
    ["IPv4", "00030004 00000000", IPV4, `0101000c${CLASSIC}0001000800018055c0000201`],
    ["IPv6", "", IPV6, `01010018${CLASSIC}000100140002805520010db8123456780011223344556677`],
    [
      "attributes that are not understood, filled up to a whole word",
      "00020000",
      IPV4,
      `01110010${CLASSIC}0009000400000414000a000400020002`,
    ],
  ] as [string, string, Address, string][]
) {
  Deno.test(`encodeStunAnswer() answers a request without the cookie: ${what}`, () => {
    assertEquals(answer(request(attributes, CLASSIC), from), hex);
  });
}

Deno.test("encodeStunRequest() writes a request that its answer is never longer than", () => {
  const bytes = encodeStunRequest(fromHex(TRANSACTION));
  assertEquals(
    bytes.toHex(),
    `00010030${COOKIE}${TRANSACTION}8022002c${encodeText("p2p".padEnd(44)).toHex()}`,
  );
  for (const [from, other] of [[IPV4, OTHER], [IPV6, OTHER_IPV6]] as const) {
    const answered = encodeStunAnswer(decodeStunRequest(bytes), from, other)!;
    assert(answered.length <= bytes.length);
    assertEquals(decodeStunAnswer(answered, fromHex(TRANSACTION)), { mapped: from, other });
  }
});

Deno.test("encodeStunRequest() asks for the answer to come from another port", () => {
  const bytes = encodeStunRequest(fromHex(TRANSACTION), { changePort: true });
  const software = `8022002c${encodeText("p2p".padEnd(44)).toHex()}`;
  assertEquals(bytes.toHex(), `00010038${COOKIE}${TRANSACTION}${software}0003000400000002`);
  const { changePort, changeAddress, unknown } = decodeStunRequest(bytes);
  assertEquals({ changePort, changeAddress, unknown }, {
    changePort: true,
    changeAddress: false,
    unknown: [],
  });
});

Deno.test("decodeStunAnswer() takes the address of a server that knows no masked ones", () => {
  const old = `01010024${COOKIE}${TRANSACTION}0001000800018055c0000201` +
    "00040008000180550a000001" + "00050008000180550a000002";
  assertEquals(decodeStunAnswer(fromHex(old), fromHex(TRANSACTION)), {
    mapped: IPV4,
    other: undefined,
  });
});

for (
  const [what, hex] of [
    ["another transaction", `0101000c${COOKIE}${"00".repeat(12)}002000080001a147e112a643`],
    ["no cookie", `0101000c00000000${TRANSACTION}002000080001a147e112a643`],
    ["a request", `00010000${COOKIE}${TRANSACTION}`],
    ["an indication", `00110000${COOKIE}${TRANSACTION}`],
    ["a peer's message", encodeText('"Pong"').toHex()],
    ["nothing", ""],
  ] as const
) {
  Deno.test(`decodeStunAnswer() passes by ${what}`, () => {
    assertEquals(decodeStunAnswer(fromHex(hex), fromHex(TRANSACTION)), undefined);
  });
}

for (
  const [what, hex, words] of [
    ["no address", `01010000${COOKIE}${TRANSACTION}`, "no address"],
    ["an unknown family", `0101000c${COOKIE}${TRANSACTION}002000080003a147e112a643`, "family"],
    ["IPv4 of 16 bytes", `01010018${COOKIE}${TRANSACTION}002000140001${"00".repeat(18)}`, "family"],
    ["an unknown attribute", `01010004${COOKIE}${TRANSACTION}7abc0000`, "not known"],
    [
      "another address of an unknown family",
      `01010018${COOKIE}${TRANSACTION}002000080001a147e112a643802c000800031f9100000000`,
      "family",
    ],
    ["an error", `01110008${COOKIE}${TRANSACTION}0009000400000414`, "error 420"],
    ["an error without a code", `01110000${COOKIE}${TRANSACTION}`, "without a code"],
    [
      "a length beyond the end",
      `01010010${COOKIE}${TRANSACTION}002000080001a147e112a643`,
      "length",
    ],
  ] as const
) {
  Deno.test(`decodeStunAnswer() refuses ${what}`, () => {
    assertThrows(
      () => decodeStunAnswer(fromHex(hex), fromHex(TRANSACTION)),
      ProtocolError,
      words,
    );
  });
}

for (
  const [what, hex] of [
    ["nothing", ""],
    ["a response", `01010000${COOKIE}${TRANSACTION}`],
    ["an indication", `00110000${COOKIE}${TRANSACTION}`],
    ["another method", `00030000${COOKIE}${TRANSACTION}`],
    ["a length that is no multiple of 4", `00010003${COOKIE}${TRANSACTION}000000`],
    ["bytes behind the end", `00010000${COOKIE}${TRANSACTION}00000000`],
    ["a value beyond the end", `00010004${COOKIE}${TRANSACTION}80220004`],
    ["a fingerprint of two bytes", `00010008${COOKIE}${TRANSACTION}8028000200000000`],
    ["a change of no bytes", `00010004${COOKIE}${TRANSACTION}00030000`],
  ] as const
) {
  Deno.test(`decodeStunRequest() refuses ${what}`, () => {
    assertThrows(() => decodeStunRequest(fromHex(hex)), ProtocolError);
  });
}

Deno.test("a STUN message that is cut anywhere is refused or passed by", () => {
  const messages = [published.request, ...published.responses].map(({ message }) => message);
  for (const bytes of messages.map(fromHex)) {
    for (let length = 0; length < bytes.length; length++) {
      const cut = bytes.subarray(0, length);
      assertThrows(() => decodeStunRequest(cut), ProtocolError);
      try {
        assertEquals(decodeStunAnswer(cut, fromHex(TRANSACTION)), undefined);
      } catch (error) {
        assert(error instanceof ProtocolError, String(error));
      }
    }
  }
});

const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
const anyAddress = fc.record({
  host: fc.oneof(bytes(4), bytes(16)).map(ipFromBytes).filter((ip) => !ip.startsWith("::ffff:")),
  port: fc.integer({ min: 0, max: 65_535 }),
});

Deno.test("decodeStunAnswer() reads the addresses that encodeStunAnswer() wrote", () => {
  const anyOptions = fc.record({ changePort: fc.boolean() });
  fc.assert(
    fc.property(anyAddress, anyAddress, anyOptions, bytes(12), (mapped, other, options, id) => {
      const request = decodeStunRequest(encodeStunRequest(id, options));
      const answered = encodeStunAnswer(request, mapped, other)!;
      assertEquals(decodeStunAnswer(answered, id), { mapped, other });
      assert(answered.length <= request.length);
    }),
  );
});

Deno.test("another address never makes an answer longer than its request", () => {
  const lengths = fc.integer({ min: 0, max: 30 });
  fc.assert(fc.property(anyAddress, anyAddress, lengths, (from, other, words) => {
    const asked = decodeStunRequest(request(PADDED(4 * words)));
    const plain = encodeStunAnswer(asked, from)!;
    const answered = encodeStunAnswer(asked, from, other)!;
    assert(answered.length <= Math.max(plain.length, asked.length));
  }));
});

Deno.test("whatever the bytes, they are a message or a ProtocolError", () => {
  const near = fc.tuple(fc.constantFrom("0001", "0101", "0111"), fc.uint8Array({ maxLength: 100 }))
    .map(([type, rest]) => {
      const body = rest.subarray(0, rest.length & ~3);
      const length = body.length.toString(16).padStart(4, "0");
      return fromHex(type + length + COOKIE + TRANSACTION + body.toHex());
    });
  fc.assert(fc.property(fc.oneof(near, fc.uint8Array({ maxLength: 200 })), (bytes) => {
    for (
      const read of [
        () => answer(bytes),
        () => decodeStunAnswer(bytes, fromHex(TRANSACTION)),
      ]
    ) {
      try {
        read();
      } catch (error) {
        assert(error instanceof ProtocolError, String(error));
      }
    }
  }));
});
