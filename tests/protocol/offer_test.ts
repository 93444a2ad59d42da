import { assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { encodeText } from "../../protocol/bytes.ts";
import { ProtocolError } from "../../protocol/errors.ts";
import { MAX_ENTRIES_BYTES, MAX_HAVE_BYTES, MAX_REASON_BYTES } from "../../protocol/limits.ts";
import {
  decodeBegin,
  decodeDone,
  decodeEntries,
  decodeHave,
  decodeOffer,
  decodeRefusal,
  decodeSkip,
  encodeBegin,
  encodeDone,
  encodeEntries,
  encodeHave,
  encodeOffer,
  encodeRefusal,
  encodeSkip,
  type Entry,
  EntryKind,
  FileMessage,
  receiverMessageLimit,
  RefuseCode,
  senderMessageLimit,
  shortText,
  SKIP_NUMBERS,
} from "../../protocol/offer.ts";

const id = new Uint8Array(16).fill(0x11);
const digest = "ab".repeat(32);

interface Row {
  name: string;
  hex: string;
  value: unknown;
  encode(): Uint8Array;
  decode(body: Uint8Array): unknown;
  /** Whether some prefix of the body is a body as well. */
  open?: boolean;
}

function offerRow(name: string, hex: string, count: number, total: number | undefined): Row {
  const value = { id, count, total };
  return { name, hex, value, encode: () => encodeOffer(value), decode: decodeOffer };
}

function entryRow(name: string, hex: string, entry: Entry): Row {
  return {
    name,
    hex,
    value: [entry],
    encode: () => [...encodeEntries([entry])][0]!,
    decode: decodeEntries,
  };
}

const rows: Row[] = [
  offerRow("OFFER", "11".repeat(16) + "00000002" + "0000000100000000", 2, 2 ** 32),
  offerRow("OFFER of unknown size", "11".repeat(16) + "00000001" + "ff".repeat(8), 1, undefined),
  entryRow(
    "ENTRIES with a file",
    "00" + "01ed" + "0000018bcfe56800" + "0000000000000400" + "0005" + "612f622e63" + "0000",
    { kind: 0, mode: 0o755, mtime: 1_700_000_000_000, size: 1024, path: "a/b.c", target: "" },
  ),
  entryRow(
    "ENTRIES with a directory from before 1970",
    "01" + "0000" + "ffffffffffffffff" + "0000000000000000" + "0002" + "c3a4" + "0000",
    { kind: 1, mode: 0, mtime: -1, size: 0, path: "ä", target: "" },
  ),
  entryRow(
    "ENTRIES with a link",
    "02" + "01ff" + "0000000000000000" + "0000000000000000" + "0003" + "612f6c" + "0001" + "62",
    { kind: 2, mode: 0o777, mtime: 0, size: 0, path: "a/l", target: "b" },
  ),
  entryRow(
    "ENTRIES with standard input",
    "03" + "0000" + "0000000000000000" + "ffffffffffffffff" + "0001" + "78" + "0000",
    { kind: 3, mode: 0, mtime: 0, size: undefined, path: "x", target: "" },
  ),
  {
    name: "REFUSE",
    hex: "05" + "6e6f",
    value: { code: RefuseCode.folder, text: "no" },
    encode: () => encodeRefusal({ code: RefuseCode.folder, text: "no" }),
    decode: decodeRefusal,
    open: true,
  },
  {
    name: "HAVE",
    hex: "00000007" + "0000000000200001" + "00000002" + digest,
    value: {
      entry: 7,
      bytes: 0x200001,
      firstBlock: 2,
      digests: Uint8Array.fromHex(digest),
    },
    encode: () =>
      encodeHave({
        entry: 7,
        bytes: 0x200001,
        firstBlock: 2,
        digests: Uint8Array.fromHex(digest),
      }),
    decode: decodeHave,
  },
  {
    name: "SKIP",
    hex: "00000001" + "00030d3f",
    value: [1, 199_999],
    encode: () => encodeSkip([1, 199_999]),
    decode: decodeSkip,
    open: true,
  },
  {
    name: "BEGIN",
    hex: "00000009" + "0000000040000000",
    value: { entry: 9, offset: 2 ** 30 },
    encode: () => encodeBegin(9, 2 ** 30),
    decode: decodeBegin,
  },
  {
    name: "DONE",
    hex: "00002710" + "00000000009c4000",
    value: { files: 10_000, bytes: 10_240_000 },
    encode: () => encodeDone(10_000, 10_240_000),
    decode: decodeDone,
  },
];

for (const { name, hex, value, encode, decode, open } of rows) {
  Deno.test(`${name} is ${hex.slice(0, 24)} both ways`, () => {
    assertEquals(encode().toHex(), hex);
    assertEquals(decode(Uint8Array.fromHex(hex)), value);
  });

  if (open) continue;
  Deno.test(`${name} is refused when it ends too early`, () => {
    const body = Uint8Array.fromHex(hex);
    for (let length = 1; length < body.length; length++) {
      assertThrows(() => decode(body.subarray(0, length)), ProtocolError);
    }
  });
}

Deno.test("The numbers of the files protocol are what the specification says", () => {
  assertEquals(FileMessage, {
    offer: 0x01,
    entries: 0x02,
    refuse: 0x10,
    accept: 0x11,
    have: 0x12,
    skip: 0x13,
    begin: 0x20,
    data: 0x21,
    end: 0x22,
    fail: 0x23,
    commit: 0x24,
    done: 0x30,
    abort: 0x31,
  });
  assertEquals(EntryKind, { file: 0, directory: 1, link: 2, stdin: 3 });
  assertEquals(Object.values(RefuseCode), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
});

Deno.test("Each side's messages have limits, and the other side's are unknown", () => {
  const limits = Object.values(FileMessage).map((
    type,
  ) => [senderMessageLimit(type), receiverMessageLimit(type)]);
  const no = undefined;
  assertEquals(limits, [
    [64, no],
    [262_144, no],
    [no, 513],
    [no, 64],
    [no, 65_536],
    [no, 65_536],
    [64, no],
    [1_048_576, no],
    [64, no],
    [512, no],
    [64, no],
    [no, 64],
    [no, 513],
  ]);
  assertEquals(senderMessageLimit(0x99), undefined);
  assertEquals(receiverMessageLimit(0x99), undefined);
});

const malformed: { name: string; decode(body: Uint8Array): unknown; hex: string }[] = [
  { name: "an offer of nothing", decode: decodeOffer, hex: "11".repeat(16) + "00".repeat(12) },
  {
    name: "an offer of too many entries",
    decode: decodeOffer,
    hex: "11".repeat(16) + "00030d41" + "00".repeat(8),
  },
  {
    name: "a total above what a number holds",
    decode: decodeOffer,
    hex: "11".repeat(16) + "00000001" + "0020000000000000",
  },
  { name: "an unknown kind", decode: decodeEntries, hex: entryHex({ kind: "04" }) },
  {
    name: "a file of unknown size",
    decode: decodeEntries,
    hex: entryHex({ size: "ff".repeat(8) }),
  },
  { name: "standard input with a size", decode: decodeEntries, hex: entryHex({ kind: "03" }) },
  {
    name: "a directory with a size",
    decode: decodeEntries,
    hex: entryHex({ kind: "01", size: "0000000000000001" }),
  },
  { name: "a link without a target", decode: decodeEntries, hex: entryHex({ kind: "02" }) },
  { name: "a file with a target", decode: decodeEntries, hex: entryHex({ target: "000161" }) },
  { name: "a path over 4,096 bytes", decode: decodeEntries, hex: entryHex({ path: "1001" }) },
  { name: "a path that is not UTF-8", decode: decodeEntries, hex: entryHex({ path: "0001ff" }) },
  {
    name: "a path with a surrogate",
    decode: decodeEntries,
    hex: entryHex({ path: "0003eda080" }),
  },
  { name: "an unknown refusal", decode: decodeRefusal, hex: "0a" },
  {
    name: "HAVE without digests",
    decode: decodeHave,
    hex: "00000001" + "0000000000000001" + "00000000",
  },
  {
    name: "HAVE with more digests than blocks",
    decode: decodeHave,
    hex: "00000001" + "0000000000100000" + "00000001" + digest,
  },
  { name: "SKIP that is not whole", decode: decodeSkip, hex: "0000000100" },
];

function entryHex(
  { kind = "00", size = "00".repeat(8), path = "000161", target = "0000" },
): string {
  return kind + "0000" + "00".repeat(8) + size + path + target;
}

for (const { name, decode, hex } of malformed) {
  Deno.test(`Refused as malformed: ${name}`, () => {
    assertThrows(() => decode(Uint8Array.fromHex(hex)), ProtocolError);
  });
}

Deno.test("decodeEntries() ignores mode bits beyond the permissions", () => {
  const hex = entryHex({}).replace("000000", "008fff");
  assertEquals(decodeEntries(Uint8Array.fromHex(hex))[0]!.mode, 0o777);
});

const entry: fc.Arbitrary<Entry> = fc.record({
  kind: fc.constantFrom(...Object.values(EntryKind)),
  mode: fc.integer({ min: 0, max: 0o777 }),
  mtime: fc.maxSafeInteger(),
  size: fc.maxSafeNat(),
  path: fc.string({ unit: "grapheme", minLength: 1, maxLength: 200 }),
  target: fc.string({ unit: "grapheme", minLength: 1, maxLength: 50 }),
}).map((entry) => ({
  ...entry,
  size: entry.kind === 0 ? entry.size : entry.kind === 3 ? undefined : 0,
  target: entry.kind === 2 ? entry.target : "",
}));

Deno.test("Entries of any content come back as they were", () => {
  fc.assert(
    fc.property(fc.array(entry, { maxLength: 50 }), (entries) => {
      assertEquals([...encodeEntries(entries)].flatMap(decodeEntries), entries);
    }),
    { numRuns: 50 },
  );
});

Deno.test("encodeEntries() begins another message before one is too long", () => {
  const path = "x".repeat(4_000);
  const entries = Array.from({ length: 200 }, () => ({
    kind: EntryKind.file,
    mode: 0,
    mtime: 0,
    size: 0,
    path,
    target: "",
  }));
  const bodies = [...encodeEntries(entries)];
  assertEquals(bodies.length, 4);
  assertEquals(bodies.every((body) => body.length <= MAX_ENTRIES_BYTES), true);
  assertEquals(bodies.flatMap(decodeEntries), entries);
});

Deno.test("A decoder throws a ProtocolError or nothing, whatever it is given", () => {
  const decoders = [
    decodeOffer,
    decodeEntries,
    decodeRefusal,
    decodeHave,
    decodeSkip,
    decodeBegin,
    decodeDone,
  ];
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 120 }), fc.constantFrom(...decoders), (body, decode) => {
      try {
        decode(body);
      } catch (error) {
        if (!(error instanceof ProtocolError)) throw error;
      }
    }),
  );
});

Deno.test("Full HAVE and SKIP messages fit their limit", () => {
  const have = { entry: 0, bytes: 2 ** 40, firstBlock: 0 };
  const digests = Math.floor((MAX_HAVE_BYTES - 16) / 32);
  const full = encodeHave({ ...have, digests: new Uint8Array(digests * 32) });
  assertEquals(full.length <= MAX_HAVE_BYTES && full.length + 32 > MAX_HAVE_BYTES, true);
  assertEquals(encodeSkip(Array(SKIP_NUMBERS).fill(1)).length, MAX_HAVE_BYTES);
});

Deno.test("shortText() cuts between characters", () => {
  assertEquals(shortText("short"), encodeText("short"));
  for (const text of ["ä".repeat(400), "😀".repeat(200), "a" + "😀".repeat(200)]) {
    const bytes = shortText(text);
    assertEquals(bytes.length <= MAX_REASON_BYTES && bytes.length > MAX_REASON_BYTES - 8, true);
    new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  }
});
