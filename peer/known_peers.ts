import { equalBytes } from "../protocol/bytes.ts";
import { IdentityError } from "../protocol/errors.ts";
import { fingerprint } from "../protocol/fingerprint.ts";
import { KEY_BYTES } from "../protocol/noise.ts";
import { decodeKey } from "../protocol/decode_key.ts";
import { fileError } from "./file_error.ts";
import { withFileLock } from "./file_lock.ts";
import { appendPrivateFile, writePrivateFile } from "./private_file.ts";
import { shellWord } from "./shell_word.ts";

/** One line of the file. */
export interface KnownPeer {
  /** What the peer calls itself, or the `host:port` at which it was dialled. */
  readonly name: string;
  /** 32 bytes. */
  readonly key: Uint8Array;
  /** The day on which it was first seen, in UTC: "2025-01-31". */
  readonly firstSeen: string;
}

/** Whether a name has the key that it had before. */
export type Acquaintance = "known" | "new" | "changed";

export interface KnownPeersOptions {
  /** The time, but in tests. */
  now?: () => Date;
}

interface Line {
  readonly text: string;
  /** Undefined where the line cannot be read. */
  readonly peer: KnownPeer | undefined;
}

/**
 * Trust on first use: which key each name had when it was first met. The file `known_peers` holds a
 * line per peer, `name TAB key in base64 TAB day`; a name that stands there more than once has more
 * than one good key.
 *
 * Every call reads the file anew, since other processes write to it as well. They take turns by a
 * lock beside it; who only reads needs none, for the file is appended to or replaced as a whole.
 */
export class KnownPeers {
  /** The file. */
  readonly path: string;
  readonly #folder: string;
  readonly #now: () => Date;
  #warnings: string[] = [];

  /** @param folder as `configFolder` tells it; made when there is something to write */
  constructor(folder: string, options: KnownPeersOptions = {}) {
    this.#folder = folder;
    this.path = `${folder}/known_peers`;
    this.#now = options.now ?? (() => new Date());
  }

  /**
   * What was wrong with lines when the file was last read. Such lines count for nothing, but stay.
   */
  get warnings(): readonly string[] {
    return this.#warnings;
  }

  /**
   * All peers that are known, in the order in which they were met.
   * @throws {FileError} if the file cannot be read
   */
  async entries(): Promise<KnownPeer[]> {
    return peersOf(await this.#read());
  }

  /** The peers known under this name: more than one only if somebody wrote them there by hand. */
  async find(name: string): Promise<KnownPeer[]> {
    return (await this.entries()).filter((peer) => peer.name === name);
  }

  /**
   * Whether the key is the one that is known under this name. Nothing is written.
   * @throws {FileError} if the file cannot be read
   */
  async check(name: string, key: Uint8Array): Promise<Acquaintance> {
    return compare(await this.find(name), key);
  }

  /**
   * Adds the peer if nothing is known under its name. A name that is known keeps its key.
   * @returns as `check` would have just before: "changed" means that nothing was written
   * @throws {FileError} if the file cannot be read or written
   * @throws {TypeError} if the name or the key cannot stand in a line
   */
  async remember(name: string, key: Uint8Array): Promise<Acquaintance> {
    const line = `${checkedName(name)}\t${checkedKey(key).toBase64()}\t${this.#today()}\n`;
    return await this.#change(async (text) => {
      const found = peersOf(parse(text)).filter((peer) => peer.name === name);
      const acquaintance = compare(found, key);
      // Whoever edits by hand may leave the last line without its end.
      const separator = text === "" || text.endsWith("\n") ? "" : "\n";
      if (acquaintance === "new") await appendPrivateFile(this.path, separator + line);
      return acquaintance;
    });
  }

  /**
   * Removes what is known under this name.
   * @returns whether there was anything
   * @throws {FileError} if the file cannot be read or written
   */
  async forget(name: string): Promise<boolean> {
    return await this.#change(async (text) => {
      const lines = parse(text);
      const kept = lines.filter(({ peer }) => peer?.name !== name);
      if (kept.length === lines.length) return false;
      await writePrivateFile(this.path, kept.map((line) => `${line.text}\n`).join(""));
      return true;
    });
  }

  /** Runs the work on the file's text while no other process changes it. */
  async #change<Result>(work: (text: string) => Promise<Result>): Promise<Result> {
    try {
      await Deno.mkdir(this.#folder, { recursive: true, mode: 0o700 });
      return await withFileLock(`${this.path}.lock`, async () => work(await readText(this.path)));
    } catch (cause) {
      throw fileError("Known peers not written", this.path, cause);
    }
  }

  async #read(): Promise<Line[]> {
    try {
      const lines = parse(await readText(this.path));
      this.#warnings = lines.flatMap(({ text, peer }, index) =>
        peer || text.trim() === ""
          ? []
          : [`Line ${index + 1} of ${this.path} skipped: it is not readable`]
      );
      return lines;
    } catch (cause) {
      throw fileError("Known peers not read", this.path, cause);
    }
  }

  #today(): string {
    return this.#now().toISOString().slice(0, "2025-01-31".length);
  }
}

/** Whose key it is that has changed. */
export type Whose = "Peer" | "Relay";

export interface ChangedKey {
  /** What it is known under. */
  name: string;
  known: Uint8Array;
  seen: Uint8Array;
  whose: Whose;
}

/**
 * What to throw where a key has changed.
 * @param path of the file in which the known key stands
 */
export function changedKeyError(changed: ChangedKey, path: string): IdentityError {
  const { name, whose } = changed;
  const [known, seen] = [fingerprint(changed.known), fingerprint(changed.seen)];
  const forget = `p2p forget ${name.startsWith("-") ? "-- " : ""}${shellWord(name)}`;
  const hint = whose === "Relay"
    ? `Ask whoever runs it for the address with #KEY that it prints. Only if that works: ${forget}`
    : `Ask ${name} by another way what their fingerprint is. Only if it is ${seen}: ${forget}`;
  return new IdentityError(
    `${whose} refused: THE KEY OF ${name} HAS CHANGED, somebody may be in between ` +
      `(it was ${known} in ${path}, now it is ${seen})`,
    { hint },
  );
}

async function readText(path: string): Promise<string> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "";
    throw error;
  }
}

function parse(text: string): Line[] {
  const lines = text.split("\n");
  if (lines.at(-1) === "") lines.pop();
  return lines.map((line) => ({ text: line, peer: parseLine(line) }));
}

function parseLine(line: string): KnownPeer | undefined {
  const [name, encoded, firstSeen] = line.trimEnd().split("\t");
  const key = decodeKey(encoded ?? "");
  if (!name || !key || !firstSeen || !/^\d{4}-\d\d-\d\d$/.test(firstSeen)) return undefined;
  return { name, key, firstSeen };
}

function peersOf(lines: Line[]): KnownPeer[] {
  return lines.flatMap(({ peer }) => peer ?? []);
}

function compare(known: KnownPeer[], key: Uint8Array): Acquaintance {
  if (known.length === 0) return "new";
  return known.some((peer) => equalBytes(peer.key, key)) ? "known" : "changed";
}

function checkedName(name: string): string {
  if (name !== "" && name === name.trim() && !/\p{Control}/u.test(name)) return name;
  throw new TypeError("Peer not remembered: its name cannot stand in a line");
}

function checkedKey(key: Uint8Array): Uint8Array {
  if (key.length === KEY_BYTES) return key;
  throw new TypeError(`Peer not remembered: its key has ${key.length} bytes, not ${KEY_BYTES}`);
}
