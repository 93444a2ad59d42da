/** The receiving side of a stream of kind "files/1" (README.md of protocol, section 7). */
import type { Budget } from "../protocol/budget.ts";
import { type ByteStream, ResetCode } from "../protocol/connection.ts";
import { concatBytes, decodeText } from "../protocol/bytes.ts";
import { FileError, P2pError, ProtocolError, StreamResetError } from "../protocol/errors.ts";
import {
  DISK_RESERVE_BYTES,
  MAX_ENTRIES_BYTES,
  MAX_OFFER_BYTES,
  RESUME_BLOCK_BYTES,
} from "../protocol/limits.ts";
import { encodeMessage, type Message } from "../protocol/messages.ts";
import {
  decodeEntries,
  decodeOffer,
  DIGEST_BYTES,
  encodeDone,
  encodeHave,
  encodeRefusal,
  encodeSkip,
  type Entry,
  EntryKind,
  FileMessage,
  hasBody,
  RefuseCode,
  senderMessageLimit,
  SKIP_NUMBERS,
} from "../protocol/offer.ts";
import { breathe, ENTRIES_IN_ONE_GO } from "./breathe.ts";
import { Bodies, checkData } from "./bodies.ts";
import type { ClaimOwner, Claims } from "./claims.ts";
import { closeGently } from "./close.ts";
import {
  type ConflictDecision,
  type ConflictMode,
  type ItemPlan,
  planItems,
  skippedBodies,
  wantedBodies,
} from "./conflict.ts";
import type { FileSystemSync } from "./file_system_sync.ts";
import { fileError, freeSpace, syncDirectory, writableFolder } from "./files.ts";
import { BlockDigester, blockLength } from "./have.ts";
import { createItem, type Item } from "./item.ts";
import { Interruption } from "./interruption.ts";
import { endedEarly, MessageReader, outOfOrder } from "./message_reader.ts";
import { NameCheck, type NameProblem } from "./name.ts";
import { MessageWriter } from "./message_writer.ts";
import { Part } from "./part.ts";
import type { TransferItem, TransferProgress } from "./progress.ts";
import { refusalOf, Stop } from "./refusal.ts";
import { SyncBatch } from "./sync_batch.ts";

/**
 * Blocks whose digests are told at once: enough for few messages, few enough that both sides hash
 * at the same time.
 */
const DIGESTS_TOLD = 64;

/** What somebody decides about. Names come from the network as they are. */
export interface Offer {
  entries: readonly Entry[];
  /** Files among them. */
  files: number;
  /** Bytes of all files, undefined if unknown. */
  total: number | undefined;
  /** Whether it is a stream for standard output, not files. */
  stream: boolean;
}

/** An answer to an offer. */
export type Decision =
  | { accept: true }
  | { accept: false; code: typeof RefuseCode.declined | typeof RefuseCode.nobody; text?: string };

export interface ReceiveOptions {
  /** The target folder. */
  folder: string;
  /** What happens where a name is taken. */
  conflict: ConflictMode;
  /** Asked about each offer that could be received. */
  decide(offer: Offer): Promise<Decision>;
  /** Asked, with `conflict` "ask", about each path that exists. */
  askConflict?: ConflictDecision | undefined;
  /** Takes streams instead of files: as Deno.stdout. */
  stdout?: { write(bytes: Uint8Array): Promise<number> } | undefined;
  onProgress?: ((progress: TransferProgress) => void) | undefined;
  /** Stops the transfer; what has arrived is kept for the next try. */
  signal?: AbortSignal | undefined;
  /** The sender's fingerprint: only its own earlier tries are resumed. */
  from: string;
  /** One for all receives of a process. */
  claims: Claims;
  /** Bytes of entries that all offers of a process may have at once; large ones are counted only. */
  memory?: Budget | undefined;
  /** Syncs many files at once; undefined: each by itself. One for all receives of a process. */
  fileSystemSync?: FileSystemSync | undefined;
  /** Whether the sender is gone for all that can be found out, so that it may start over. */
  isStale?: (() => Promise<boolean>) | undefined;
}

export interface ReceiveResult {
  accepted: boolean;
  /** What was received, with final paths. */
  items: TransferItem[];
  files: number;
  bytes: number;
  /** Paths, in the offer, of files that were not wanted. */
  skipped: string[];
  /** Bytes that an earlier try had brought. */
  resumedBytes: number;
}

/**
 * Receives one offer. The stream is over afterwards, whatever happened.
 * @throws {FileError} if something cannot be written; what has arrived is kept for the next try
 * @throws {ProtocolError} if the offer is not safe, or is not what then comes
 * @throws {P2pError} if the sender stopped, or what ended the session
 * @throws the signal's reason
 */
export async function receiveFiles(
  stream: ByteStream,
  options: ReceiveOptions,
): Promise<ReceiveResult> {
  return await new Receiver(stream, options).run();
}

class Receiver implements ClaimOwner {
  readonly #stream: ByteStream;
  readonly #options: ReceiveOptions;
  readonly #reader: MessageReader;
  readonly #writer: MessageWriter;
  readonly #cancelled = new Interruption();
  readonly #result: ReceiveResult = {
    accepted: false,
    items: [],
    files: 0,
    bytes: 0,
    skipped: [],
    resumedBytes: 0,
  };
  #accepted = false;
  #stopped: { reason: unknown } | undefined;
  #entries: Entry[] = [];
  #problem: NameProblem | undefined;
  /** Bytes taken of the memory for offers. */
  #held = 0;
  #total: number | undefined;
  readonly #parts: Part[] = [];
  #bodies: Bodies | undefined;

  constructor(stream: ByteStream, options: ReceiveOptions) {
    this.#stream = stream;
    this.#options = options;
    this.#reader = new MessageReader(stream, senderMessageLimit, {
      streamed: new Set([FileMessage.data]),
    });
    this.#writer = new MessageWriter(stream, () => {});
  }

  get from(): string {
    return this.#options.from;
  }

  isStale(): Promise<boolean> {
    return this.#options.isStale?.() ?? Promise.resolve(false);
  }

  /** The same sender has come back over another session: this one's stream leads nowhere. */
  cancel(): void {
    this.#stop(new P2pError("Transfer taken over: the same sender started it again"));
  }

  async run(): Promise<ReceiveResult> {
    const { signal } = this.#options;
    const onAbort = () => this.#stop(signal!.reason);
    signal?.addEventListener("abort", onAbort);
    try {
      if (signal?.aborted) onAbort();
      await this.#receive();
      return this.#result;
    } catch (error) {
      await this.#bodies?.close(error instanceof ProtocolError);
      await this.#tell(error);
      if (this.#stopped) throw this.#stopped.reason;
      throw error instanceof Stop ? error.error : inWords(error);
    } finally {
      signal?.removeEventListener("abort", onAbort);
      for (const part of this.#parts) part[Symbol.dispose]();
      this.#options.memory?.give(this.#held);
    }
  }

  #stop(reason: unknown): void {
    this.#stopped ??= { reason };
    this.#cancelled.interrupt(reason);
    this.#writer.fail(reason);
    this.#stream.reset(ResetCode.cancelled);
  }

  /** Says why this side wants no more, if the other is there to hear it. */
  async #tell(error: unknown): Promise<void> {
    if (this.#stopped) return;
    const type = this.#accepted ? FileMessage.abort : FileMessage.refuse;
    await closeGently(this.#stream, encodeMessage(type, encodeRefusal(refusalOf(error))));
  }

  async #receive(): Promise<void> {
    await this.#readOffer();
    const stream = this.#checkOffer();
    if (!stream) writableFolder(this.#options.folder);
    const decision = await this.#cancelled.race(this.#options.decide({
      entries: this.#entries,
      files: this.#entries.filter(hasBody).length,
      total: this.#total,
      stream,
    }));
    if (!decision.accept) {
      const { code, text = "" } = decision;
      await closeGently(
        this.#stream,
        encodeMessage(FileMessage.refuse, encodeRefusal({ code, text })),
      );
      return;
    }
    this.#result.accepted = true;
    if (stream) await this.#receiveStream();
    else await this.#receiveItems();
    await this.#writer.message(
      FileMessage.done,
      encodeDone(this.#result.files, this.#result.bytes),
    );
    await this.#writer.drain();
    await this.#stream.finish();
  }

  async #next(): Promise<Message> {
    const message = await this.#reader.read();
    if (message?.type === FileMessage.fail && this.#accepted) throw senderFailed(message);
    if (message) return message;
    throw endedEarly();
  }

  async #readOffer(): Promise<void> {
    const head = await this.#next();
    if (head.type !== FileMessage.offer) throw outOfOrder(head);
    const { count, total } = decodeOffer(head.body);
    const names = new NameCheck();
    let told = 0;
    while (this.#entries.length < count) {
      const message = await this.#next();
      if (message.type !== FileMessage.entries) throw outOfOrder(message);
      told += message.body.length;
      const entries = decodeEntries(message.body);
      if (told > MAX_OFFER_BYTES || entries.length === 0) {
        throw new ProtocolError("Offer not readable: its entries are too long or empty");
      }
      if (told > MAX_ENTRIES_BYTES) this.#hold(message.body.length);
      for (const entry of entries) this.#entries.push(entry);
      this.#problem ??= names.add(entries);
      if (this.#entries.length < count) await breathe();
    }
    this.#total = total;
    if (this.#entries.length > count || totalOf(this.#entries) !== total) {
      throw new ProtocolError("Offer not readable: its entries are not what it announced");
    }
  }

  /** Offers wait for somebody's answer, and all of them are kept meanwhile. */
  #hold(bytes: number): void {
    if (this.#options.memory?.take(bytes) === false) {
      const error = new P2pError("Offer refused: too many others of that size wait already", {
        hint: "Answer those first; then it can be sent again",
      });
      throw new Stop(RefuseCode.declined, error, "too many large offers at once");
    }
    this.#held += bytes;
  }

  /** @returns whether it is a stream for standard output */
  #checkOffer(): boolean {
    if (this.#problem) {
      const { path, problem } = this.#problem;
      const error = new ProtocolError(
        `Offer refused: the name ${path} ${problem}`,
        { hint: "Ask the sender to rename it" },
      );
      throw new Stop(RefuseCode.unsafeName, error, `${path} ${problem}`);
    }
    const streams = this.#entries.filter(({ kind }) => kind === EntryKind.stdin).length;
    if (streams > 0 && this.#entries.length > 1) {
      throw new ProtocolError("Offer not readable: a stream does not stand alone");
    }
    const wanted = this.#options.stdout !== undefined;
    if (wanted === (streams === 1)) return wanted;
    const error = new P2pError(
      wanted
        ? "Offer refused: files were offered, a stream is wanted here"
        : "Offer refused: a stream was offered, files are wanted here",
      { hint: wanted ? "Start without --stdout to take files" : "Start with --stdout to take it" },
    );
    throw new Stop(RefuseCode.wrongSort, error);
  }

  async #receiveStream(): Promise<void> {
    await this.#accept();
    const { stdout, onProgress } = this.#options;
    const file = this.#entries[0]!.path;
    const begin = await this.#next();
    if (begin.type !== FileMessage.begin) throw outOfOrder(begin);
    let message = await this.#next();
    for (; message.type === FileMessage.data; message = await this.#next()) {
      checkData(message);
      await this.#cancelled.race(writeAll(stdout!, message.body));
      this.#result.bytes += message.body.length;
      onProgress?.({ bytes: this.#result.bytes, total: undefined, resumedBytes: 0, file });
    }
    if (message.type !== FileMessage.end) throw outOfOrder(message);
    const commit = await this.#next();
    if (commit.type !== FileMessage.commit) throw outOfOrder(commit);
    this.#result.files = 1;
  }

  async #receiveItems(): Promise<void> {
    const folder = writableFolder(this.#options.folder);
    const mode = this.#options.conflict;
    const ask = this.#options.askConflict ?? (() => Promise.resolve("rename" as const));
    const plans = await this.#cancelled.race(planItems(this.#entries, folder, mode, ask));
    const batch = new SyncBatch(this.#options.fileSystemSync);
    const items = await this.#createItems(plans, folder, batch);
    this.#checkSpace(items, folder);
    const offered = await this.#tellWhatIsHere(plans, items);
    await this.#accept();
    this.#bodies = new Bodies(this.#entries, items, offered, batch, this.#options.onProgress);
    for (;;) {
      const message = await this.#next();
      if (message.type === FileMessage.commit) break;
      await this.#bodies.take(message);
    }
    Object.assign(this.#result, await this.#bodies.finish());
    await syncDirectory(folder);
  }

  async #createItems(
    plans: readonly ItemPlan[],
    folder: string,
    batch: SyncBatch,
  ): Promise<Item[]> {
    const items: Item[] = [];
    for (const plan of plans) {
      if (plan.action === "skip") continue;
      const part = await Part.claim(folder, plan.name, this, this.#options.claims);
      this.#parts.push(part);
      if (this.#stopped) throw this.#stopped.reason;
      items.push(createItem(plan, this.#entries, part, batch));
      if (items.length % ENTRIES_IN_ONE_GO === 0) await breathe();
    }
    return items;
  }

  #checkSpace(items: readonly Item[], folder: string): void {
    const space = freeSpace(folder);
    if (!space) return;
    let needed = DISK_RESERVE_BYTES;
    for (const item of items) {
      for (const index of wantedBodies(item.plan, this.#entries)) {
        const missing = this.#entries[index]!.size! - item.atHand(index);
        needed += Math.ceil(missing / space.unit) * space.unit;
      }
    }
    if (needed <= space.free) return;
    const error = new FileError(
      `Cannot receive into ${folder}: ${needed} bytes are needed, ${space.free} are free`,
      { hint: "Make space, or choose another folder" },
    );
    throw new Stop(RefuseCode.noSpace, error);
  }

  /** Sends SKIP and HAVE. @returns per entry, the bytes that were offered as at hand */
  async #tellWhatIsHere(
    plans: readonly ItemPlan[],
    items: readonly Item[],
  ): Promise<Map<number, number>> {
    const skipped = plans.flatMap((plan) => skippedBodies(plan, this.#entries));
    this.#result.skipped = skipped.map((index) => this.#entries[index]!.path);
    for (let at = 0; at < skipped.length; at += SKIP_NUMBERS) {
      const body = encodeSkip(skipped.slice(at, at + SKIP_NUMBERS));
      await this.#writer.message(FileMessage.skip, body);
    }
    const offered = new Map<number, number>();
    const digester = new BlockDigester();
    for (const item of items) {
      for (const index of wantedBodies(item.plan, this.#entries)) {
        const bytes = item.atHand(index);
        if (bytes === 0) continue;
        offered.set(index, bytes);
        await this.#tellHave(item, index, bytes, digester);
      }
    }
    return offered;
  }

  async #tellHave(
    item: Item,
    index: number,
    bytes: number,
    digester: BlockDigester,
  ): Promise<void> {
    using source = item.openAtHand(index);
    let digests: Uint8Array[] = [];
    const blocks = Math.ceil(bytes / RESUME_BLOCK_BYTES);
    for (let block = 0; block < blocks; block++) {
      const digest = await digester.next(source, blockLength(bytes, block));
      if (this.#stopped) throw this.#stopped.reason;
      // What shrinks meanwhile will not agree, and is sent anew.
      digests.push(digest ?? new Uint8Array(DIGEST_BYTES));
      if (digests.length < DIGESTS_TOLD && block + 1 < blocks) continue;
      const firstBlock = block + 1 - digests.length;
      const have = { entry: index, bytes, firstBlock, digests: concatBytes(...digests) };
      await this.#writer.message(FileMessage.have, encodeHave(have));
      if (blocks > DIGESTS_TOLD) await this.#writer.flush();
      digests = [];
    }
  }

  async #accept(): Promise<void> {
    await this.#writer.message(FileMessage.accept);
    this.#accepted = true;
    await this.#writer.drain();
  }
}

/** What a FAIL message means here. Its text comes from the network as it is. */
function senderFailed(message: Message): P2pError {
  return new P2pError(
    `Transfer stopped by the other side: it cannot read ${decodeText(message.body)}`,
    { hint: "What has arrived is kept: when it is sent again, it goes on from there" },
  );
}

function totalOf(entries: readonly Entry[]): number | undefined {
  let total = 0;
  for (const { size } of entries) {
    if (size === undefined) return undefined;
    total += size;
  }
  return total;
}

async function writeAll(
  sink: { write(bytes: Uint8Array): Promise<number> },
  bytes: Uint8Array,
): Promise<void> {
  try {
    for (let at = 0; at < bytes.length;) at += await sink.write(bytes.subarray(at));
  } catch (cause) {
    const error = fileError("Cannot write to", "standard output", cause);
    throw new Stop(RefuseCode.cancelled, error, "its standard output was closed");
  }
}

/** What a person is told of an error that the stream had. */
function inWords(error: unknown): unknown {
  if (!(error instanceof StreamResetError)) return error;
  return new P2pError("Transfer stopped by the other side", {
    hint: "What has arrived is kept: when it is sent again, it goes on from there",
    cause: error,
  });
}
