/** What a sender or a chat does to take this side's time. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { encodeText } from "../../protocol/bytes.ts";
import { ChatType } from "../../protocol/chat.ts";
import type { ByteStream } from "../../protocol/connection.ts";
import { P2pError, ProtocolError } from "../../protocol/errors.ts";
import { MAX_NAME_BYTES } from "../../protocol/limits.ts";
import { encodeMessage } from "../../protocol/messages.ts";
import { checkName } from "../../protocol/name.ts";
import {
  encodeEntries,
  encodeOffer,
  type Entry,
  EntryKind,
  FileMessage,
  RefuseCode,
} from "../../protocol/offer.ts";
import { Budget } from "../../protocol/budget.ts";
import { Chat } from "../../transfer/chat.ts";
import { type Decision, receiveFiles } from "../../transfer/receive.ts";
import { streamPair } from "../fakes/stream_pair.ts";
import { reasonOf, Rig } from "./rig.ts";

/** Letters with marks in the order that normalising has to turn around. */
const SLOW_NAME = `a${"\u0301\u0316".repeat(200_000)}`;

Deno.test("checkName() refuses a long text without normalising it", () => {
  const started = performance.now();
  assertEquals(checkName(SLOW_NAME), { problem: `it is longer than ${MAX_NAME_BYTES} bytes` });
  assert(performance.now() - started < 1_000);
});

Deno.test("Chat.messages() rejects a name that is too long before it is there", async () => {
  const [near, far] = streamPair();
  const nick = encodeMessage(ChatType.nick, encodeText("n".repeat(MAX_NAME_BYTES + 1)));
  await near.write(nick.subarray(0, 5));
  await assertRejects(() => new Chat(far).messages().next(), ProtocolError, "too large");
  near.reset(0);
});

function entry(kind: EntryKind, path: string, target = ""): Entry {
  return { kind, mode: 0o755, mtime: 0, size: 0, path, target };
}

/** Entries whose names are as much work as can be. */
function costly(name: string): Entry[] {
  if (name === "links") {
    const links = Array.from({ length: 2_000 }, (_, i) => {
      return entry(EntryKind.link, `d/${i}`, `${"a/".repeat(1_500)}a`);
    });
    return [entry(EntryKind.directory, "d"), ...links];
  }
  const kind = name === "files" ? EntryKind.file : EntryKind.directory;
  return Array.from({ length: 20_000 }, (_, i) => entry(kind, `top${i}`));
}

for (const name of ["links", "files", "directories"]) {
  Deno.test(`An offer of many ${name} leaves others their turns`, async () => {
    using rig = new Rig();
    const entries = costly(name);
    const [near, far] = streamPair();
    const receiving = Promise.allSettled([receiveFiles(far, rig.receiveOptions())]);
    const head = encodeOffer({ id: new Uint8Array(16), count: entries.length, total: 0 });
    let turns = 0;
    const others = setInterval(() => turns++, 0);
    await near.write(encodeMessage(FileMessage.offer, head));
    for (const body of encodeEntries(entries)) {
      await near.write(encodeMessage(FileMessage.entries, body));
    }
    const answer = await near.read();
    clearInterval(others);
    assertEquals(answer?.[0], FileMessage.accept);
    assert(turns >= 10, `${turns} turns`);
    near.reset(0);
    const [received] = await receiving;
    assertEquals(reasonOf(received).message, "Transfer stopped by the other side");
  });
}

/** Offers some 30,000 files, which is more than one message of entries. */
async function offerMany(stream: ByteStream): Promise<void> {
  const entries = Array.from({ length: 30_000 }, (_, i) => entry(EntryKind.file, `top${i}`));
  const head = encodeOffer({ id: new Uint8Array(16), count: entries.length, total: 0 });
  await stream.write(encodeMessage(FileMessage.offer, head));
  for (const body of encodeEntries(entries)) {
    await stream.write(encodeMessage(FileMessage.entries, body));
  }
}

Deno.test("Large offers that wait for an answer leave room, and others are refused until they have it", async () => {
  using rig = new Rig();
  const memory = new Budget(1_000_000);
  const asked = Promise.withResolvers<void>();
  const answer = Promise.withResolvers<Decision>();
  const decide = () => {
    asked.resolve();
    return answer.promise;
  };
  const [alice, first] = streamPair();
  const waiting = receiveFiles(first, rig.receiveOptions({ memory, decide }));
  await offerMany(alice);
  await asked.promise;

  const [mallory, second] = streamPair();
  const refused = assertRejects(
    () => receiveFiles(second, rig.receiveOptions({ memory, decide })),
    P2pError,
    "Offer refused: too many others of that size wait already",
  );
  await offerMany(mallory);
  assertEquals((await mallory.read())?.[0], FileMessage.refuse);
  await mallory.finish();
  await refused;

  answer.resolve({ accept: false, code: RefuseCode.declined });
  assertEquals((await alice.read())?.[0], FileMessage.refuse);
  await alice.finish();
  await waiting;
  assertEquals([memory.take(1_000_001), memory.take(1_000_000)], [false, true]);
});
