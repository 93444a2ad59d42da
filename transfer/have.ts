/**
 * Digests of the blocks that both sides have, by which a transfer resumes (README.md of protocol,
 * "Resume").
 */
import { createHash } from "node:crypto";
import { equalBytes } from "../protocol/bytes.ts";
import { ProtocolError } from "../protocol/errors.ts";
import { RESUME_BLOCK_BYTES } from "../protocol/limits.ts";
import { DIGEST_BYTES, type Have } from "../protocol/offer.ts";

/** Anything with a position to read from; at its end it reads null or throws. */
export interface BlockSource {
  read(into: Uint8Array): Promise<number | null>;
}

/** Bytes of block `index` of `bytes`. */
export function blockLength(bytes: number, index: number): number {
  return Math.min(RESUME_BLOCK_BYTES, bytes - index * RESUME_BLOCK_BYTES);
}

/** Digests one block after the other, in one buffer. */
export class BlockDigester {
  readonly #buffer = new Uint8Array(RESUME_BLOCK_BYTES);

  /** SHA-256 of the next `length` bytes, or undefined if there are fewer. */
  async next(source: BlockSource, length: number): Promise<Uint8Array | undefined> {
    for (let filled = 0; filled < length;) {
      const count = await source.read(this.#buffer.subarray(filled, length));
      if (count === null) return undefined;
      filled += count;
    }
    return createHash("sha256").update(this.#buffer.subarray(0, length)).digest();
  }
}

/** Compares what the receiver tells of one entry with the sender's own file. */
export class HaveComparer {
  readonly #source: BlockSource;
  readonly #digester: BlockDigester;
  readonly #bytes: number;
  #nextBlock = 0;
  #differs = false;
  /** Bytes from the front that both sides have alike. */
  agreed = 0;

  /** @param bytes that the receiver has; @param source stands at the front of the file */
  constructor(source: BlockSource, digester: BlockDigester, bytes: number) {
    this.#source = source;
    this.#digester = digester;
    this.#bytes = bytes;
  }

  /** @throws {ProtocolError} if the blocks are not the next ones */
  async compare(have: Have): Promise<void> {
    if (have.bytes !== this.#bytes || have.firstBlock !== this.#nextBlock) {
      throw new ProtocolError("HAVE not accepted: its blocks are out of order");
    }
    for (let at = 0; at < have.digests.length; at += DIGEST_BYTES) {
      await this.#compareBlock(have.digests.subarray(at, at + DIGEST_BYTES));
    }
  }

  async #compareBlock(digest: Uint8Array): Promise<void> {
    const length = blockLength(this.#bytes, this.#nextBlock++);
    if (this.#differs) return;
    const own = await this.#digester.next(this.#source, length);
    if (own && equalBytes(own, digest)) this.agreed += length;
    else this.#differs = true;
  }
}
