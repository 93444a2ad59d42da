/** A sender or receiver that does not keep to the protocol. */
import { assertEquals, assertInstanceOf } from "@std/assert";
import { join } from "node:path";
import { type FakeStream, streamPair } from "../fakes/stream_pair.ts";
import { concatBytes, encodeText } from "../../protocol/bytes.ts";
import { ProtocolError } from "../../protocol/errors.ts";
import { encodeMessage, type Message } from "../../protocol/messages.ts";
import {
  decodeRefusal,
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
} from "../../protocol/offer.ts";
import { MessageReader } from "../../transfer/message_reader.ts";
import { receiveFiles, type ReceiveOptions } from "../../transfer/receive.ts";
import { sendFiles } from "../../transfer/send.ts";
import { collectSources } from "../../transfer/walk.ts";
import { MIB, noise, reasonOf, Rig } from "./rig.ts";

function entry(path: string, size = 0, kind: EntryKind = EntryKind.file, target = ""): Entry {
  return { kind, mode: 0o644, mtime: 0, size, path, target };
}

function folder(path: string): Entry {
  return entry(path, 0, EntryKind.directory);
}

function offer(entries: Entry[], { count = entries.length, extra = 0 } = {}): Uint8Array {
  const total = entries.reduce((sum, { size }) => sum + (size ?? 0), 0) + extra;
  const id = new Uint8Array(16);
  return concatBytes(
    encodeMessage(FileMessage.offer, encodeOffer({ id, count, total })),
    ...[...encodeEntries(entries)].map((body) => encodeMessage(FileMessage.entries, body)),
  );
}

function begin(index: number, offset = 0): Uint8Array {
  return encodeMessage(FileMessage.begin, encodeBegin(index, offset));
}

function data(text: string): Uint8Array {
  return encodeMessage(FileMessage.data, encodeText(text));
}

const end = encodeMessage(FileMessage.end);
const commit = encodeMessage(FileMessage.commit);
const accept = encodeMessage(FileMessage.accept);

async function readAll(reader: MessageReader): Promise<Message[]> {
  const messages: Message[] = [];
  for (let message = await reader.read(); message; message = await reader.read()) {
    messages.push(message);
  }
  return messages;
}

/** A sender that says what it likes; what the receiver answered and came to. */
async function hostileSender(
  rig: Rig,
  said: Uint8Array[],
  options: Partial<ReceiveOptions> = {},
) {
  const [a, b] = streamPair();
  const receiving = receiveFiles(b, rig.receiveOptions(options));
  const speaking = (async () => {
    const answers = readAll(new MessageReader(a, receiverMessageLimit));
    for (const bytes of said) await a.write(bytes);
    await a.finish();
    return await answers;
  })();
  const [received, answers] = await Promise.allSettled([receiving, speaking]);
  return { received, answers: answers.status === "fulfilled" ? answers.value : [] };
}

const names: [path: string, entries: Entry[]][] = [
  ...[
    "/etc/passwd",
    "../escape",
    "a/../../escape",
    "..",
    ".",
    "",
    "a\\b",
    "C:evil",
    "nul.txt",
    "trailing.",
    "trailing ",
    "escape\x1b[2J",
    "what?",
    "x.p2p-part",
    "x.p2p-state",
  ].map((path): [string, Entry[]] => [path, [entry(path)]]),
  ["a/b", [entry("a/b")]],
  ["A", [entry("a"), entry("A")]],
  ["e\u0301", [entry("é"), entry("e\u0301")]],
  ["d/l", [folder("d"), entry("d/l", 0, EntryKind.link, "../../etc")]],
  ["d/l", [folder("d"), entry("d/l", 0, EntryKind.link, "/etc")]],
  ["d/l/x", [folder("d"), entry("d/l", 0, EntryKind.link, "."), entry("d/l/x")]],
  ["l", [entry("l", 0, EntryKind.link, "/etc")]],
];

for (const [path, entries] of names) {
  Deno.test(`An offer with ${JSON.stringify(path)} (${entries.length}) is refused by name`, async () => {
    using rig = new Rig();
    const { received, answers } = await hostileSender(rig, [offer([entry("good"), ...entries])], {
      decide: () => Promise.reject(new Error("Must not be asked")),
    });
    const error = reasonOf(received);
    assertInstanceOf(error, ProtocolError);
    assertEquals(error.message.startsWith(`Offer refused: the name ${path} `), true, error.message);
    const refusal = decodeRefusal(answers[0]!.body);
    assertEquals(answers.map(({ type }) => type), [FileMessage.refuse]);
    assertEquals(refusal.code, RefuseCode.unsafeName);
    assertEquals(refusal.text.startsWith(path), true);
    assertEquals(rig.received(), {});
  });
}

const two = [entry("a", 5), entry("b", 5)];
const whole = [begin(0), data("aaaaa"), end, begin(1), data("bbbbb"), end, commit];

Deno.test("The sender that these tests speak for is understood when it behaves", async () => {
  using rig = new Rig();
  const { received, answers } = await hostileSender(rig, [offer(two), ...whole]);
  assertEquals(received.status, "fulfilled");
  assertEquals(answers.map(({ type }) => type), [FileMessage.accept, FileMessage.done]);
  assertEquals(answers[1]!.body, encodeDone(2, 10));
  assertEquals(rig.received(), { a: "644 aaaaa", b: "644 bbbbb" });
});

const malformedOffers: [name: string, said: Uint8Array[]][] = [
  ["begins with something else", [encodeMessage(FileMessage.commit)]],
  ["is of an unknown type", [encodeMessage(0x77)]],
  ["is one of the receiver's", [encodeMessage(FileMessage.done, encodeDone(1, 1))]],
  ["announces fewer entries", [offer(two, { count: 1 })]],
  ["announces another total", [offer(two, { extra: 1 })]],
  ["has an empty ENTRIES message", [
    offer(two, { count: 3 }),
    encodeMessage(FileMessage.entries),
  ]],
  ["is interrupted by a body", [offer(two, { count: 3 }), begin(0)]],
  ["ends too early", [offer(two, { count: 3 })]],
  ["ends inside a message", [offer(two).subarray(0, 50)]],
  ["is longer than a message may be", [new Uint8Array([FileMessage.entries, 0, 4, 0, 1])]],
  ["has a stream beside a file", [
    concatBytes(
      encodeMessage(
        FileMessage.offer,
        encodeOffer({ id: new Uint8Array(16), count: 2, total: undefined }),
      ),
      ...[
        ...encodeEntries([
          { ...entry("s"), kind: EntryKind.stdin, size: undefined },
          entry("a"),
        ]),
      ].map((body) => encodeMessage(FileMessage.entries, body)),
    ),
  ]],
];

for (const [name, said] of malformedOffers) {
  Deno.test(`An offer that ${name} is refused as malformed`, async () => {
    using rig = new Rig();
    const { received, answers } = await hostileSender(rig, said, {
      decide: () => Promise.reject(new Error("Must not be asked")),
    });
    assertInstanceOf(reasonOf(received), ProtocolError);
    assertEquals(answers.map(({ type }) => type), [FileMessage.refuse]);
    assertEquals(decodeRefusal(answers[0]!.body).code, RefuseCode.malformed);
  });
}

Deno.test("An offer of more than 32 MiB of entries is refused before it is held", async () => {
  using rig = new Rig();
  const body = [...encodeEntries([entry(`${"x".repeat(255)}`)])][0]!;
  const full = concatBytes(...Array(900).fill(body));
  const messages = Array(200).fill(encodeMessage(FileMessage.entries, full));
  const head = encodeOffer({ id: new Uint8Array(16), count: 180_000, total: 0 });
  const { received } = await hostileSender(rig, [
    encodeMessage(FileMessage.offer, head),
    ...messages,
  ]);
  assertEquals(reasonOf(received).message, "Offer not readable: its entries are too long or empty");
});

const rest = [begin(1), data("bbbbb"), end, commit];
const badBodies: [name: string, said: Uint8Array[]][] = [
  ["has more bytes than offered", [begin(0), data("aaaaaa"), end, ...rest]],
  ["has more bytes than offered in a second message", [
    begin(0),
    data("aaaa"),
    data("aa"),
    end,
    ...rest,
  ]],
  ["has fewer bytes than offered", [begin(0), data("aaaa"), end, ...rest]],
  ["is not begun", [data("aaaaa")]],
  ["ends before it begins", [end]],
  ["is begun twice", [begin(0), begin(0)]],
  ["comes out of order", [begin(1)]],
  ["comes twice", [begin(0), data("aaaaa"), end, begin(0)]],
  ["is of no entry", [begin(0), data("aaaaa"), end, begin(1), data("bbbbb"), end, begin(2)]],
  ["begins behind what is here", [begin(0, 1), data("aaaa"), end, ...rest]],
  ["begins behind its end", [begin(0, MIB), end, ...rest]],
  ["is left out", [begin(0), data("aaaaa"), end, commit]],
  ["is committed in its middle", [begin(0), data("aaa"), commit]],
  ["has empty data", [begin(0), encodeMessage(FileMessage.data)]],
  ["is followed by another offer", [begin(0), data("aaaaa"), end, offer([entry("x")])]],
  ["stops without a word", [begin(0), data("aaa")]],
  ["announces more than a message may have", [
    begin(0),
    new Uint8Array([FileMessage.data, 0, 0x10, 0, 1]),
  ]],
];

for (const [name, said] of badBodies) {
  Deno.test(`A body that ${name} stops the transfer and is not kept`, async () => {
    using rig = new Rig();
    const { received, answers } = await hostileSender(rig, [offer(two), ...said]);
    assertInstanceOf(reasonOf(received), ProtocolError);
    assertEquals(answers.map(({ type }) => type), [FileMessage.accept, FileMessage.abort]);
    assertEquals(decodeRefusal(answers[1]!.body).code, RefuseCode.malformed);
    const complete: Record<string, string> = { a: "644 aaaaa", b: "644 bbbbb" };
    for (const [path, content] of Object.entries(rig.received())) {
      assertEquals(content, complete[path], path);
    }
  });
}

Deno.test("A body for a skipped entry stops the transfer", async () => {
  using rig = new Rig();
  Deno.writeTextFileSync(join(rig.target, "a"), "old");
  const { received, answers } = await hostileSender(rig, [offer(two), ...whole], {
    conflict: "skip",
  });
  assertInstanceOf(reasonOf(received), ProtocolError);
  assertEquals(answers[0]!.body, encodeSkip([0]));
  assertEquals(rig.received(), { a: "644 old" });
});

Deno.test("A body for a directory or a link stops the transfer", async () => {
  for (const index of [0, 1]) {
    using rig = new Rig();
    const entries = [folder("d"), entry("d/l", 0, EntryKind.link, "."), entry("d/f", 1)];
    const { received } = await hostileSender(rig, [offer(entries), begin(index)]);
    assertInstanceOf(reasonOf(received), ProtocolError);
    assertEquals(rig.received(), {});
  }
});

Deno.test("FAIL in place of the first body is told with its text as it came", async () => {
  using rig = new Rig();
  const fail = encodeMessage(FileMessage.fail, encodeText("a: \x1b[31mgone"));
  const { received } = await hostileSender(rig, [offer(two), fail]);
  assertEquals(
    reasonOf(received).message,
    "Transfer stopped by the other side: it cannot read a: \x1b[31mgone",
  );
});

/** A receiver that answers what it likes; what the sender came to. */
async function hostileReceiver(rig: Rig, said: Uint8Array[], name = "big") {
  const [a, b] = streamPair();
  const sending = sendFiles(a, await collectSources([join(rig.source, name)]));
  const speaking = (async () => {
    const heard = readAll(
      new MessageReader(b, senderMessageLimit, { streamed: new Set([FileMessage.data]) }),
    );
    for (const bytes of said) await b.write(bytes);
    await b.finish();
    return await heard;
  })();
  const [sent, heard] = await Promise.allSettled([sending, speaking]);
  return { sent, heard: heard.status === "fulfilled" ? heard.value : [] };
}

function have(entry: number, bytes: number, firstBlock: number, count: number): Uint8Array {
  const digests = new Uint8Array(32 * count);
  return encodeMessage(FileMessage.have, encodeHave({ entry, bytes, firstBlock, digests }));
}

const badAnswers: [name: string, said: Uint8Array[]][] = [
  ["has bytes of no entry", [have(1, 1, 0, 1)]],
  ["has more bytes than the file", [have(0, 3 * MIB + 1, 0, 1)]],
  ["tells blocks out of order", [have(0, 2 * MIB, 1, 1)]],
  ["tells a block twice", [have(0, 2 * MIB, 0, 1), have(0, 2 * MIB, 0, 1)]],
  ["changes its mind about the bytes", [have(0, 2 * MIB, 0, 1), have(0, 3 * MIB, 1, 1)]],
  ["skips no entry", [encodeMessage(FileMessage.skip, encodeSkip([1]))]],
  ["is done before it accepted", [encodeMessage(FileMessage.done, encodeDone(1, 3 * MIB))]],
  ["is of an unknown type", [encodeMessage(0x77)]],
  ["is one of the sender's", [encodeMessage(FileMessage.commit)]],
  ["ends without a word", []],
  ["accepts twice", [accept, accept]],
  ["is an unknown refusal", [encodeMessage(FileMessage.refuse, new Uint8Array([99]))]],
  ["accepts and ends", [accept]],
  ["kept fewer bytes", [accept, encodeMessage(FileMessage.done, encodeDone(1, 1))]],
  ["kept fewer files", [accept, encodeMessage(FileMessage.done, encodeDone(0, 3 * MIB))]],
];

for (const [name, said] of badAnswers) {
  Deno.test(`A receiver whose answer ${name} is an error at once`, async () => {
    using rig = new Rig();
    rig.file("big", noise(3 * MIB));
    const { sent } = await hostileReceiver(rig, said);
    assertInstanceOf(reasonOf(sent), ProtocolError);
  });
}

Deno.test("Digests that do not agree make the sender begin at the front", async () => {
  using rig = new Rig();
  rig.file("big", noise(3 * MIB));
  const done = encodeMessage(FileMessage.done, encodeDone(1, 3 * MIB));
  const { sent, heard } = await hostileReceiver(rig, [have(0, 3 * MIB, 0, 3), accept, done]);
  assertEquals(sent.status === "fulfilled" && sent.value.resumedBytes, 0);
  const beginning = heard.find(({ type }) => type === FileMessage.begin);
  assertEquals(beginning?.body, encodeBegin(0, 0));
});

Deno.test("A refusal's text reaches the sender as it came", async () => {
  using rig = new Rig();
  rig.file("big", "x");
  const refusal = { code: RefuseCode.declined, text: "\x1b]0;evil\x07" };
  const { sent } = await hostileReceiver(rig, [
    encodeMessage(FileMessage.refuse, encodeRefusal(refusal)),
  ]);
  assertEquals(
    reasonOf(sent).message,
    "Files refused by the other side: declined (\x1b]0;evil\x07)",
  );
});

Deno.test("A sender that goes on for ever after an ABORT is cut off", async () => {
  using rig = new Rig();
  const [a, b]: [FakeStream, FakeStream] = streamPair();
  const receiving = receiveFiles(b, rig.receiveOptions());
  const flood = new Uint8Array(MIB);
  let written = 0;
  const speaking = (async () => {
    await a.write(encodeMessage(0x77));
    for (;;) {
      await a.write(flood);
      written += flood.length;
    }
  })();
  const [received] = await Promise.allSettled([receiving, speaking]);
  assertInstanceOf(reasonOf(received), ProtocolError);
  assertEquals(written < 60 * MIB, true);
});
