/**
 * Takes the bodies of an accepted offer, in the order of its entries, and gives each item its name
 * when it is whole.
 */
import { ProtocolError } from "../protocol/errors.ts";
import { RESUME_BLOCK_BYTES } from "../protocol/limits.ts";
import type { Message } from "../protocol/messages.ts";
import { decodeBegin, type Entry, FileMessage } from "../protocol/offer.ts";
import { wantedBodies } from "./conflict.ts";
import type { Item } from "./item.ts";
import type { StagedFile } from "./staging.ts";
import { outOfOrder } from "./message_reader.ts";
import { PartWriter } from "./part_writer.ts";
import type { TransferItem, TransferProgress } from "./progress.ts";
import type { SyncBatch } from "./sync_batch.ts";

/** What came of it. */
export interface BodiesResult {
  items: TransferItem[];
  files: number;
  bytes: number;
  resumedBytes: number;
}

/** A body under way. */
interface Body {
  file: StagedFile;
  index: number;
  /** Bytes still to come. */
  left: number;
}

export class Bodies {
  readonly #entries: readonly Entry[];
  readonly #items: readonly Item[];
  readonly #offered: ReadonlyMap<number, number>;
  readonly #onProgress: ((progress: TransferProgress) => void) | undefined;
  readonly #writer = new PartWriter();
  readonly #batch: SyncBatch;
  /** The bodies that are to come, and which of them is next. */
  readonly #expected: { item: number; index: number }[];
  #next = 0;
  #body: Body | undefined;
  /** Items before these were opened, or given to `commit`. */
  #opened = 0;
  #committed = 0;
  readonly #finals: TransferItem[] = [];
  readonly #total: number;
  #across = 0;
  #resumed = 0;

  /**
   * @param offered per entry, the bytes that the sender was told of
   * @param batch the one that the items have
   */
  constructor(
    entries: readonly Entry[],
    items: readonly Item[],
    offered: ReadonlyMap<number, number>,
    batch: SyncBatch,
    onProgress: ((progress: TransferProgress) => void) | undefined,
  ) {
    this.#entries = entries;
    this.#items = items;
    this.#offered = offered;
    this.#batch = batch;
    this.#onProgress = onProgress;
    this.#expected = items.flatMap((item, number) =>
      wantedBodies(item.plan, entries).map((index) => ({ item: number, index }))
    );
    this.#total = this.#expected.reduce((sum, { index }) => sum + entries[index]!.size!, 0);
  }

  /**
   * Takes the sender's next message.
   * @throws {ProtocolError} if it is not what must come now
   * @throws {FileError} if something cannot be written
   */
  async take(message: Message): Promise<void> {
    if (message.type === FileMessage.data && this.#body) await this.#data(this.#body, message);
    else if (message.type === FileMessage.begin && !this.#body) await this.#begin(message);
    else if (message.type === FileMessage.end && this.#body) await this.#end(this.#body);
    else throw outOfOrder(message);
  }

  /**
   * Waits until everything has its name and is on the disk.
   * @throws {ProtocolError} if not all has come
   */
  async finish(): Promise<BodiesResult> {
    if (this.#body || this.#next < this.#expected.length) {
      throw new ProtocolError("Transfer not complete: the sender left files out");
    }
    await this.#commitBefore(this.#items.length);
    await this.#batch.flush();
    return {
      items: this.#finals,
      files: this.#expected.length,
      bytes: this.#total,
      resumedBytes: this.#resumed,
    };
  }

  /**
   * After an error: closes all files. What is incomplete stays for the next try, unless it is to be
   * discarded.
   */
  async close(discard: boolean): Promise<void> {
    await this.#writer.settled();
    this.#body?.file.close();
    this.#body = undefined;
    await this.#batch.close();
    for (const [number, item] of this.#items.entries()) {
      item.close();
      if (discard && number >= this.#committed && number < this.#opened) item.discard();
    }
  }

  async #begin(message: Message): Promise<void> {
    const { entry, offset } = decodeBegin(message.body);
    const expected = this.#expected[this.#next];
    if (entry !== expected?.index) {
      throw new ProtocolError(`Body out of order: entry ${entry}, expected ${expected?.index}`);
    }
    const offered = this.#offered.get(entry) ?? 0;
    if (offset > offered || (offset !== offered && offset % RESUME_BLOCK_BYTES !== 0)) {
      throw new ProtocolError(`Body not accepted: entry ${entry} begins at ${offset}`);
    }
    await this.#commitBefore(expected.item);
    this.#openThrough(expected.item);
    const item = this.#items[expected.item]!;
    const file = item.openFile(entry, offset);
    this.#body = { file, index: entry, left: this.#entries[entry]!.size! - offset };
    this.#writer.begin(file, item.stagedPath(entry));
    this.#resumed += offset;
    this.#advance(offset);
  }

  async #data(body: Body, message: Message): Promise<void> {
    checkData(message);
    body.left -= message.body.length;
    if (body.left < message.remaining) {
      throw new ProtocolError(`Body not accepted: entry ${body.index} is longer than offered`);
    }
    await this.#writer.write(message.body);
    this.#advance(message.body.length);
  }

  async #end(body: Body): Promise<void> {
    if (body.left > 0) {
      throw new ProtocolError(`Body not accepted: entry ${body.index} is shorter than offered`);
    }
    await this.#writer.end();
    const { item } = this.#expected[this.#next++]!;
    this.#body = undefined;
    await this.#items[item]!.endFile(body.index, body.file);
    if (this.#expected[this.#next]?.item !== item) await this.#commitBefore(item + 1);
  }

  /** Opens items up to a number, which belongs to it. */
  #openThrough(number: number): void {
    while (this.#opened <= number) this.#items[this.#opened++]!.open();
  }

  /** Has the items before a number given their names. */
  async #commitBefore(number: number): Promise<void> {
    while (this.#committed < number) {
      const item = this.#items[this.#committed]!;
      this.#openThrough(this.#committed);
      const place = this.#committed++;
      await item.commit((path) => {
        this.#finals[place] = { path, bytes: this.#itemBytes(item) };
      });
    }
  }

  #itemBytes(item: Item): number {
    const indexes = wantedBodies(item.plan, this.#entries);
    return indexes.reduce((sum, index) => sum + this.#entries[index]!.size!, 0);
  }

  #advance(bytes: number): void {
    this.#across += bytes;
    this.#onProgress?.({
      bytes: this.#across,
      total: this.#total,
      resumedBytes: this.#resumed,
      file: this.#entries[this.#body!.index]!.path,
    });
  }
}

/** @throws {ProtocolError} if a DATA message is empty */
export function checkData(message: Message): void {
  if (message.body.length === 0) throw new ProtocolError("Body not accepted: empty DATA");
}
