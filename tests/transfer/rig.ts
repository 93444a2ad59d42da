/** Folders and streams for transfers in tests. */
import { join } from "node:path";
import { type FakeStream, streamPair, type StreamPairOptions } from "../fakes/stream_pair.ts";
import { Claims } from "../../transfer/claims.ts";
import { receiveFiles, type ReceiveOptions, type ReceiveResult } from "../../transfer/receive.ts";
import { sendFiles, type SendOptions, type SendResult } from "../../transfer/send.ts";
import { collectSources } from "../../transfer/walk.ts";

export const MIB = 1_048_576;

export interface TransferOptions {
  /** Names in the source folder; all that is in it by default. */
  names?: string[];
  send?: SendOptions;
  receive?: Partial<ReceiveOptions>;
  pair?: StreamPairOptions;
  /** Does something with the streams before anything runs. */
  prepare?(sender: FakeStream, receiver: FakeStream): void;
}

export interface Outcome {
  sent: PromiseSettledResult<SendResult>;
  received: PromiseSettledResult<ReceiveResult>;
}

/** A source and a target folder, gone afterwards. */
export class Rig implements Disposable {
  readonly root = Deno.makeTempDirSync({ prefix: "p2p-test-" });
  readonly source = join(this.root, "source");
  readonly target = join(this.root, "target");
  readonly claims = new Claims();

  constructor() {
    Deno.mkdirSync(this.source);
    Deno.mkdirSync(this.target);
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.root, { recursive: true });
  }

  /** Makes a file in the source folder, with the directories above it. */
  file(name: string, content: string | Uint8Array): string {
    const path = join(this.source, name);
    Deno.mkdirSync(join(path, ".."), { recursive: true });
    const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
    Deno.writeFileSync(path, bytes);
    return path;
  }

  receiveOptions(options: Partial<ReceiveOptions> = {}): ReceiveOptions {
    return {
      folder: this.target,
      conflict: "rename",
      decide: () => Promise.resolve({ accept: true }),
      from: "aaaa-bbbb-cccc-dddd",
      claims: this.claims,
      ...options,
    };
  }

  /** Sends from the source to the target folder; both sides' outcomes. */
  async attempt(options: TransferOptions = {}): Promise<Outcome> {
    const names = options.names ?? namesIn(this.source);
    const sources = await collectSources(names.map((name) => join(this.source, name)));
    const [a, b] = streamPair(options.pair);
    options.prepare?.(a, b);
    const [sent, received] = await Promise.allSettled([
      sendFiles(a, sources, options.send),
      receiveFiles(b, this.receiveOptions(options.receive)),
    ]);
    return { sent, received };
  }

  /** As `attempt`, for what must succeed. */
  async transfer(
    options: TransferOptions = {},
  ): Promise<{ sent: SendResult; received: ReceiveResult }> {
    const { sent, received } = await this.attempt(options);
    const reasons = [sent, received].flatMap((side) =>
      side.status === "rejected" ? [side.reason] : []
    );
    if (reasons.length > 0) throw new AggregateError(reasons, reasons.join("; "));
    return { sent: valueOf(sent), received: valueOf(received) };
  }

  /** What is in the target folder. */
  received(): Record<string, string> {
    return listing(this.target);
  }

  /** What is in the source folder. */
  offered(): Record<string, string> {
    return listing(this.source);
  }
}

/**
 * All paths in a folder and what they are: "755 content", "dir", "→ target". Long contents as their
 * digest.
 */
export function listing(folder: string, prefix = ""): Record<string, string> {
  const result: Record<string, string> = {};
  for (const name of namesIn(folder)) {
    const path = join(folder, name);
    const info = Deno.lstatSync(path);
    if (info.isSymlink) result[prefix + name] = `→ ${Deno.readLinkSync(path)}`;
    else if (info.isDirectory) {
      result[`${prefix}${name}/`] = (info.mode! & 0o777).toString(8);
      Object.assign(result, listing(path, `${prefix}${name}/`));
    } else result[prefix + name] = `${(info.mode! & 0o777).toString(8)} ${contentOf(path)}`;
  }
  return result;
}

function contentOf(path: string): string {
  const bytes = Deno.readFileSync(path);
  if (bytes.length <= 100) return new TextDecoder().decode(bytes);
  let hash = 2_166_136_261;
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 16_777_619);
  return `${bytes.length} bytes, ${(hash >>> 0).toString(16)}`;
}

/** Names in a folder, sorted. */
export function namesIn(folder: string): string[] {
  return [...Deno.readDirSync(folder)].map(({ name }) => name).sort();
}

/** Bytes that look random and are always the same. */
export function noise(length: number, seed = 1): Uint8Array<ArrayBuffer> {
  const words = new Uint32Array(Math.ceil(length / 4));
  let state = seed;
  for (let i = 0; i < words.length; i++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    words[i] = state;
  }
  return new Uint8Array(words.buffer).subarray(0, length);
}

function valueOf<T>(result: PromiseSettledResult<T>): T {
  if (result.status === "rejected") throw result.reason;
  return result.value;
}

/** What a side failed with. */
export function reasonOf(result: PromiseSettledResult<unknown>): Error {
  if (result.status === "fulfilled") throw new Error("It did not fail");
  return result.reason;
}
