/** Receives files, with everything that its user is asked and shown. */
import type { ByteStream } from "../protocol/connection.ts";
import { P2pError } from "../protocol/errors.ts";
import { type Entry, EntryKind, RefuseCode } from "../protocol/offer.ts";
import { fingerprint } from "../protocol/fingerprint.ts";
import { BULK_BYTES, MAX_OFFER_BYTES } from "../protocol/limits.ts";
import { Budget } from "../protocol/budget.ts";
import { Claims } from "../transfer/claims.ts";
import type { ConflictAnswer, ConflictMode } from "../transfer/conflict.ts";
import { FileSystemSync } from "../transfer/file_system_sync.ts";
import { writableFolder } from "../transfer/files.ts";
import {
  type Decision,
  type Offer,
  receiveFiles,
  type ReceiveResult,
} from "../transfer/receive.ts";
import { Slots } from "../transfer/slots.ts";
import { partyOf } from "./history/entry.ts";
import { keepFiles } from "./history/keep_files.ts";
import type { Host } from "./host.ts";
import type { Peer } from "./room.ts";
import { formatBytes } from "./terminal/format.ts";
import { Progress } from "./terminal/progress.ts";
import type { Screen } from "./terminal/screen.ts";
import { describe } from "./words.ts";

/**
 * Offers that are received at once; others wait. Each may hold a hundred files open, and running
 * out of descriptors ends the program.
 */
const MAX_RECEIVES = 24;
/** Those of one peer among them: one that does not go on must not keep others from sending. */
const MAX_RECEIVES_PER_PEER = 4;
/** Bytes of entries in all large offers: they take about twice that as long as they last. */
const MAX_OFFERS_BYTES = 8 * MAX_OFFER_BYTES;

export interface ReceivingOptions {
  /**
   * Where files go; undefined: the current folder, which need not be one that takes files until
   * some come.
   */
  folder: string | undefined;
  /** Whether offers are accepted without asking. */
  accept: boolean;
  /** What happens where a name is taken; undefined: ask on a terminal, else rename. */
  conflict: ConflictMode | undefined;
  /** Whether data goes to standard output instead of into files. */
  toStdout?: boolean;
}

export class Receiving {
  readonly #host: Host;
  readonly #screen: Screen;
  readonly #options: ReceivingOptions;
  readonly #folder: string;
  readonly #claims = new Claims();
  readonly #fileSystemSync = new FileSystemSync();
  readonly #slots = new Slots(MAX_RECEIVES);
  readonly #memory = new Budget(MAX_OFFERS_BYTES);
  readonly #peerSlots = new WeakMap<Peer, Slots>();
  /** Whether a stream is on its way to standard output: two at once would be mixed. */
  #streaming = false;

  /**
   * @throws {FileError} if a folder was named that cannot be written: better now than when files
   *   come
   */
  constructor(host: Host, screen: Screen, options: ReceivingOptions) {
    this.#host = host;
    this.#screen = screen;
    this.#options = options;
    this.#folder = options.folder === undefined ? "." : writableFolder(options.folder);
  }

  /**
   * Receives what a peer offers on the stream. Tells whether all of it is here; errors are shown.
   */
  async receive(peer: Peer, stream: ByteStream): Promise<boolean> {
    const { output, signal } = this.#host;
    let progress: Progress | undefined;
    let name = "";
    let streams = false;
    using _peerSlot = await this.#slotsOf(peer).acquire();
    using _slot = await this.#slots.acquire();
    try {
      const result = await receiveFiles(stream, {
        folder: this.#folder,
        from: fingerprint(peer.session.remoteKey),
        conflict: this.#options.conflict ?? (this.#screen.interactive ? "ask" : "rename"),
        claims: this.#claims,
        memory: this.#memory,
        fileSystemSync: this.#fileSystemSync,
        isStale: async () => !await peer.session.isThere(),
        signal,
        ...(this.#options.toStdout && { stdout: this.#stdout }),
        decide: async (offer) => {
          name = nameOf(offer);
          const decision = await this.#decide(peer, offer);
          streams = offer.stream && decision.accept;
          this.#streaming ||= streams;
          return decision;
        },
        askConflict: (path) => this.#askConflict(peer, path),
        onProgress: ({ bytes, total, resumedBytes }) => {
          if (bytes - resumedBytes >= BULK_BYTES) peer.session.onBulk?.();
          const { path } = peer.session;
          const fields = { peer: peer.name, direction: "received" };
          progress ??= new Progress(output, { name, total, resumed: resumedBytes, path, fields });
          progress.change({ total, path });
          progress.update(bytes);
        },
      });
      if (!result.accepted) return false;
      keepFiles(this.#host.history, {
        sent: false,
        from: peer.name,
        party: partyOf(peer),
        items: result.items,
        name,
      });
      this.#report(peer, result, progress?.finish("received") ?? `${name} received`);
      return true;
    } catch (error) {
      progress?.close();
      if (!(error instanceof P2pError)) throw error;
      if (!signal.aborted) output.error(describe(error));
      return false;
    } finally {
      if (streams) this.#streaming = false;
    }
  }

  #slotsOf(peer: Peer): Slots {
    const slots = this.#peerSlots.get(peer) ?? new Slots(MAX_RECEIVES_PER_PEER);
    this.#peerSlots.set(peer, slots);
    return slots;
  }

  /** Standard output; when its reader has gone there is nothing left to do. */
  readonly #stdout = {
    write: async (bytes: Uint8Array): Promise<number> => {
      try {
        return await Deno.stdout.write(bytes);
      } catch (error) {
        if (error instanceof Deno.errors.BrokenPipe) this.#host.stdoutClosed();
        throw error;
      }
    },
  };

  async #decide(peer: Peer, offer: Offer): Promise<Decision> {
    const { output } = this.#host;
    const { total: bytes } = offer;
    output.event("offer", {
      from: peer.name,
      name: nameOf(offer),
      files: offer.files,
      bytes: bytes ?? null,
    });
    const what = describeOffer(peer, offer);
    if (offer.stream && this.#streaming) {
      output.warn(`${what}: refused, for another stream is still coming`);
      const text = "another stream is still coming";
      return { accept: false, code: RefuseCode.declined, text };
    }
    if (this.#options.accept) {
      output.say(what);
      return { accept: true };
    }
    if (!this.#screen.interactive) {
      output.warn(`${what}: refused, for there is nobody to ask (--yes accepts)`);
      return { accept: false, code: RefuseCode.nobody };
    }
    const answer = await this.#ask(peer, `${what}. Accept? [y/N] `);
    return /^y(es)?$/i.test(answer?.trim() ?? "")
      ? { accept: true }
      : { accept: false, code: RefuseCode.declined };
  }

  async #askConflict(peer: Peer, path: string): Promise<ConflictAnswer> {
    for (;;) {
      const question = `${path} exists. Skip, rename or overwrite? [s/R/o] `;
      const answer = await this.#ask(peer, question);
      const letter = answer?.trim().toLowerCase().slice(0, 1) ?? "";
      if (letter === "s") return "skip";
      if (letter === "o") return "overwrite";
      if (letter === "r" || letter === "") return "rename";
    }
  }

  /**
   * Asks the user. Once the peer has gone the answer is of no use, and the question is taken back.
   */
  async #ask(peer: Peer, question: string): Promise<string | null> {
    const gone = new AbortController();
    peer.session.ended.then(() => {
      gone.abort(new P2pError(`Nothing received: ${peer.name} has taken the offer back`));
    });
    const signal = AbortSignal.any([this.#host.signal, gone.signal]);
    return await this.#screen.ask(question, { signal });
  }

  #report(peer: Peer, result: ReceiveResult, summary: string): void {
    const { output } = this.#host;
    for (const { path, bytes } of result.items) {
      output.event("received", { path, bytes, from: peer.name });
    }
    const kept = result.items.map(({ path }) => path);
    const where = kept.length === 1 ? `: ${kept[0]}` : "";
    const skipped = result.skipped.length > 0 ? ` (${result.skipped.length} skipped)` : "";
    output.say(`${summary}${where}${skipped}`);
  }
}

/** The names at the top of an offer. */
function itemsOf(offer: Offer): Entry[] {
  return offer.entries.filter(({ path }) => !path.includes("/"));
}

function nameOf(offer: Offer): string {
  if (offer.stream) return "standard input";
  const items = itemsOf(offer);
  if (items.length === 1) return items[0]!.path;
  const files = items.every(({ kind }) => kind === EntryKind.file);
  return `${items.length} ${files ? "files" : "files and folders"}`;
}

function describeOffer(peer: Peer, offer: Offer): string {
  const size = offer.total === undefined ? "length unknown" : formatBytes(offer.total);
  const [first] = offer.entries;
  const folder = itemsOf(offer).length === 1 && first!.kind === EntryKind.directory;
  const files = folder ? `folder, ${offer.files} ${offer.files === 1 ? "file" : "files"}, ` : "";
  return `${peer.name} offers ${nameOf(offer)} (${files}${size})`;
}
