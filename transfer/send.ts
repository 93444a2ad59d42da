/** The sending side of a stream of kind "files/1" (README.md of protocol, section 7). */
import { type ByteStream, ResetCode } from "../protocol/connection.ts";
import { FileError, P2pError, ProtocolError, StreamResetError } from "../protocol/errors.ts";
import { DRAIN_TIMEOUT_MS, MAX_OFFER_BYTES } from "../protocol/limits.ts";
import type { Message } from "../protocol/messages.ts";
import {
  decodeDone,
  decodeHave,
  decodeRefusal,
  decodeSkip,
  encodeBegin,
  encodeEntries,
  encodeOffer,
  type Entry,
  EntryKind,
  FileMessage,
  hasBody,
  type Have,
  receiverMessageLimit,
  RefuseCode,
  shortText,
} from "../protocol/offer.ts";
import { closeGently, within } from "./close.ts";
import { BlockDigester, HaveComparer } from "./have.ts";
import { Interruption } from "./interruption.ts";
import { endedEarly, MessageReader, outOfOrder } from "./message_reader.ts";
import { MessageWriter } from "./message_writer.ts";
import type { TransferItem, TransferProgress } from "./progress.ts";
import { OfferRefusedError } from "./refusal.ts";
import { SourceFile } from "./source_file.ts";
import type { SourceRoot, Sources } from "./walk.ts";

export interface SendOptions {
  /** Stops the transfer; what is across is kept for the next try. */
  signal?: AbortSignal | undefined;
  onProgress?: ((progress: TransferProgress) => void) | undefined;
  /** Where standard input is read from: as Deno.stdin. */
  stdin?: { read(into: Uint8Array): Promise<number | null> } | undefined;
}

export interface SendResult {
  /** What was sent, by argument. */
  items: TransferItem[];
  /** Files that the other side keeps, and the bytes in them. */
  files: number;
  bytes: number;
  /** Paths, in the offer, of files that the other side did not want. */
  skipped: string[];
  /** Bytes that did not have to be sent because an earlier try had. */
  resumedBytes: number;
}

/**
 * Offers the sources and sends what the other side wants of them. The stream is over afterwards,
 * whatever happened.
 * @throws {OfferRefusedError} if the other side does not want them, or stops on the way
 * @throws {FileError} if a file cannot be read to its end or changed on the way
 * @throws {P2pError} what ended the session
 * @throws the signal's reason
 */
export async function sendFiles(
  stream: ByteStream,
  sources: Sources,
  options: SendOptions = {},
): Promise<SendResult> {
  return await new Sender(stream, sources, options).run();
}

class Sender {
  readonly #stream: ByteStream;
  readonly #sources: Sources;
  readonly #options: SendOptions;
  readonly #reader: MessageReader;
  readonly #writer: MessageWriter;
  /** Comes when the transfer is over before its end. */
  readonly #broken = new Interruption();
  readonly #skipped = new Set<number>();
  /** Per entry, the bytes that the other side has already. */
  readonly #agreed = new Map<number, number>();
  #resumedBytes = 0;
  #delivered = 0;
  #total: number | undefined;
  #file = "";
  #streamedBytes = 0;

  constructor(stream: ByteStream, sources: Sources, options: SendOptions) {
    this.#stream = stream;
    this.#sources = sources;
    this.#options = options;
    this.#total = sources.total;
    this.#reader = new MessageReader(stream, receiverMessageLimit);
    this.#writer = new MessageWriter(stream, (bytes) => this.#advance(bytes));
  }

  async run(): Promise<SendResult> {
    const { signal } = this.#options;
    const onAbort = () => this.#break(signal!.reason);
    signal?.addEventListener("abort", onAbort);
    try {
      signal?.throwIfAborted();
      await this.#offer();
      await this.#answer();
      await this.#transfer();
      return this.#result();
    } catch (error) {
      this.#break(error);
      throw signal?.aborted ? signal.reason : inWords(error);
    } finally {
      signal?.removeEventListener("abort", onAbort);
    }
  }

  /** Ends everything that is under way. Without effect on a stream that has ended. */
  #break(error: unknown): void {
    const failed = error instanceof ProtocolError || !(error instanceof P2pError);
    this.#broken.interrupt(error);
    this.#writer.fail(error);
    this.#stream.reset(
      failed && !this.#options.signal?.aborted ? ResetCode.failed : ResetCode.cancelled,
    );
  }

  async #offer(): Promise<void> {
    const { entries, total } = this.#sources;
    const id = crypto.getRandomValues(new Uint8Array(16));
    const head = encodeOffer({ id, count: entries.length, total });
    await this.#writer.message(FileMessage.offer, head);
    let told = 0;
    for (const body of encodeEntries(entries)) {
      told += body.length;
      if (told > MAX_OFFER_BYTES) {
        throw new FileError("Cannot offer the files: their names are too much for one offer", {
          hint: "Send them in several parts, or as an archive",
        });
      }
      await this.#writer.message(FileMessage.entries, body);
    }
    await this.#writer.drain();
  }

  /** Reads what the other side has and does not want, until it accepts. */
  async #answer(): Promise<void> {
    using answers = new AnswerReader(this.#sources, this.#agreed, this.#skipped);
    for (;;) {
      const message = await this.#reader.read();
      if (!message) throw endedEarly();
      if (message.type === FileMessage.refuse) {
        await closeGently(this.#stream);
        throw new OfferRefusedError(decodeRefusal(message.body));
      }
      if (message.type === FileMessage.accept) break;
      await answers.take(message);
    }
    answers[Symbol.dispose]();
    this.#count();
  }

  /** Works out how much is to be sent. */
  #count(): void {
    for (const index of this.#skipped) this.#agreed.delete(index);
    for (const bytes of this.#agreed.values()) this.#resumedBytes += bytes;
    if (this.#total === undefined) return;
    for (const index of this.#skipped) this.#total -= this.#sources.entries[index]!.size ?? 0;
  }

  async #transfer(): Promise<void> {
    const done = this.#awaitDone();
    done.catch((error) => this.#break(error));
    try {
      await this.#bodies();
    } catch (error) {
      if (error instanceof FileError) await this.#tellFailure(error, done);
      // When the stream broke, its reading side says why.
      else if (error instanceof P2pError) await done;
      throw error;
    }
    this.#checkDone(await done);
    await this.#stream.finish();
  }

  async #awaitDone(): Promise<{ files: number; bytes: number }> {
    const message = await this.#reader.read();
    if (!message) throw endedEarly();
    if (message.type === FileMessage.done) return decodeDone(message.body);
    if (message.type === FileMessage.abort) {
      throw new OfferRefusedError(decodeRefusal(message.body));
    }
    throw outOfOrder(message);
  }

  #checkDone(done: { files: number; bytes: number }): void {
    const { files, bytes } = this.#result();
    if (done.files === files && done.bytes === bytes) return;
    throw new ProtocolError(
      `Transfer not complete: the other side kept ${done.files} files of ${files}, ${done.bytes} bytes of ${bytes}`,
    );
  }

  async #bodies(): Promise<void> {
    for (const [index, entry] of this.#sources.entries.entries()) {
      if (!hasBody(entry) || this.#skipped.has(index)) continue;
      this.#file = entry.path;
      const offset = this.#agreed.get(index) ?? 0;
      await this.#writer.message(FileMessage.begin, encodeBegin(index, offset));
      if (entry.kind === EntryKind.stdin) await this.#standardInput();
      else await this.#body(this.#sources.paths[index]!, entry, offset);
      await this.#writer.message(FileMessage.end);
    }
    await this.#writer.message(FileMessage.commit);
    await this.#writer.drain();
  }

  async #body(path: string, entry: Entry, offset: number): Promise<void> {
    using source = new SourceFile(path, entry, offset);
    for (let left = entry.size! - offset; left > 0;) {
      const room = await this.#writer.room();
      const count = await source.read(left < room.length ? room.subarray(0, left) : room);
      this.#writer.data(count);
      left -= count;
    }
    source.checkUnchanged();
  }

  /** Sends what there is at once: a pipe may pause at any time. */
  async #standardInput(): Promise<void> {
    const { stdin } = this.#options;
    if (!stdin) {
      throw new FileError("Cannot read standard input: there is none", {
        hint: "Name files instead of -",
      });
    }
    await this.#writer.flush();
    for (;;) {
      const room = await this.#writer.room();
      const count = await this.#broken.race(stdin.read(room));
      if (count === null) return;
      if (count === 0) continue;
      this.#streamedBytes += count;
      this.#writer.data(count);
      await this.#writer.flush();
    }
  }

  /**
   * A file of ours failed: says so, so that the other side does not wait, and lets it end the
   * stream.
   */
  async #tellFailure(error: FileError, ended: Promise<unknown>): Promise<void> {
    try {
      const text = `${this.#file}: ${error.message.slice(error.message.lastIndexOf(": ") + 2)}`;
      await this.#writer.message(FileMessage.fail, shortText(text));
      await this.#writer.drain();
      await within(Promise.all([this.#stream.finish(), ended]), DRAIN_TIMEOUT_MS);
    } catch {
      // The other side is gone, and our own failure is what counts.
    }
  }

  #advance(bytes: number): void {
    this.#delivered += bytes;
    this.#options.onProgress?.({
      bytes: this.#resumedBytes + this.#delivered,
      total: this.#total,
      resumedBytes: this.#resumedBytes,
      file: this.#file,
    });
  }

  #result(): SendResult {
    const items = this.#sources.roots.flatMap((root) => this.#item(root) ?? []);
    const { entries } = this.#sources;
    return {
      items,
      files: entries.filter(hasBody).length - this.#skipped.size,
      bytes: items.reduce((sum, item) => sum + item.bytes, 0),
      skipped: [...this.#skipped].map((index) => entries[index]!.path),
      resumedBytes: this.#resumedBytes,
    };
  }

  /** An argument as it was sent, or undefined if none of its files was wanted. */
  #item({ path, first, end }: SourceRoot): TransferItem | undefined {
    let [bytes, bodies, sent] = [0, 0, 0];
    for (let index = first; index < end; index++) {
      const entry = this.#sources.entries[index]!;
      if (!hasBody(entry)) continue;
      bodies++;
      if (this.#skipped.has(index)) continue;
      sent++;
      bytes += entry.size ?? this.#streamedBytes;
    }
    return bodies > 0 && sent === 0 ? undefined : { path, bytes };
  }
}

/** Takes the HAVE and SKIP messages in front of an ACCEPT. */
class AnswerReader implements Disposable {
  readonly #sources: Sources;
  readonly #agreed: Map<number, number>;
  readonly #skipped: Set<number>;
  readonly #digester = new BlockDigester();
  #entry = -1;
  #source: SourceFile | undefined;
  #comparer: HaveComparer | undefined;

  constructor(sources: Sources, agreed: Map<number, number>, skipped: Set<number>) {
    this.#sources = sources;
    this.#agreed = agreed;
    this.#skipped = skipped;
  }

  /** @throws {ProtocolError} if the message may not come here, or speaks of what was not offered */
  async take(message: Message): Promise<void> {
    if (message.type === FileMessage.have) return await this.#have(decodeHave(message.body));
    if (message.type !== FileMessage.skip) throw outOfOrder(message);
    for (const index of decodeSkip(message.body)) {
      this.#fileEntry(index);
      this.#skipped.add(index);
    }
  }

  /** Takes note of the last entry. */
  [Symbol.dispose](): void {
    if (this.#comparer && this.#comparer.agreed > 0) {
      this.#agreed.set(this.#entry, this.#comparer.agreed);
    }
    this.#source?.[Symbol.dispose]();
    this.#source = undefined;
    this.#comparer = undefined;
  }

  async #have(have: Have): Promise<void> {
    if (have.entry !== this.#entry) this.#begin(have);
    try {
      await this.#comparer?.compare(have);
    } catch (error) {
      this[Symbol.dispose]();
      // A file that cannot be read now is told about when its turn comes.
      if (!(error instanceof FileError)) throw error;
    }
  }

  #begin(have: Have): void {
    this[Symbol.dispose]();
    const entry = this.#fileEntry(have.entry);
    if (have.entry < this.#entry || have.bytes > (entry.size ?? 0)) {
      throw new ProtocolError(`HAVE not accepted: entry ${have.entry} is out of order or too long`);
    }
    this.#entry = have.entry;
    try {
      this.#source = new SourceFile(this.#sources.paths[have.entry]!, entry);
    } catch {
      return;
    }
    this.#comparer = new HaveComparer(this.#source, this.#digester, have.bytes);
  }

  #fileEntry(index: number): Entry {
    const entry = this.#sources.entries[index];
    if (entry && hasBody(entry)) return entry;
    throw new ProtocolError(`Answer not accepted: entry ${index} is no file of the offer`);
  }
}

/** What a person is told of an error that the stream had. */
function inWords(error: unknown): unknown {
  if (!(error instanceof StreamResetError)) return error;
  if (error.resetCode === ResetCode.cancelled) {
    return new OfferRefusedError({ code: RefuseCode.cancelled, text: "" }, { cause: error });
  }
  if (error.resetCode === ResetCode.unwanted) {
    return new OfferRefusedError({ code: RefuseCode.wrongSort, text: "" }, { cause: error });
  }
  return error;
}
