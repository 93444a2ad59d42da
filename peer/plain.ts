/**
 * Plain chat: lines of UTF-8 with anything that speaks them, nc and the original program included.
 * No names, no files, and no protection at all.
 */
import { encodeText } from "../protocol/bytes.ts";
import type { Connection } from "../protocol/connection.ts";
import { P2pError, ProtocolError } from "../protocol/errors.ts";
import { ReceiveBuffer } from "../protocol/framing.ts";
import { DEAD_AFTER_MS, GOODBYE_TIMEOUT_MS, MAX_PLAIN_LINE_BYTES } from "../protocol/limits.ts";
import { classifyFirstBytes, errorPreface } from "../protocol/preface.ts";
import { ADVICE } from "./advice.ts";
import { systemClock } from "./clock.ts";
import type { Output } from "./output.ts";

const FIRST_READ_BYTES = 4_096;

/** What every screen shows that shows plain chat. */
export const PLAIN_WARNING =
  "PLAIN: nothing is encrypted, and anybody can claim to be anybody. Leave --plain out for a protected chat.";

/** Those with whom we chat in plain text. */
export class PlainRoom {
  readonly #output: Output;
  readonly #connections = new Set<Connection>();
  #closed = false;

  constructor(output: Output) {
    this.#output = output;
  }

  /** How many are here. */
  get size(): number {
    return this.#connections.size;
  }

  /**
   * Takes a connection in until it ends.
   * @param dialled whether it was this side that dialled
   * @returns why it ended, if the other side did not just leave
   */
  async enter(connection: Connection, dialled: boolean): Promise<P2pError | undefined> {
    const { remote, path } = connection;
    this.#connections.add(connection);
    this.#output.say(`Connected to ${remote} (${path}, NOT encrypted)`);
    this.#output.event("connected", { peer: remote, path, plain: true });
    try {
      for await (const line of plainLines(connection, dialled)) this.#output.message(remote, line);
      this.#output.say(`${remote} has left`);
    } catch (error) {
      if (error instanceof P2pError) return error;
      throw error;
    } finally {
      this.#connections.delete(connection);
      connection.close();
      this.#output.event("disconnected", { peer: remote });
    }
  }

  /**
   * Sends a line to everybody. Somebody who takes none for 20 s is given up.
   * @throws {P2pError} if the line is longer than others take
   */
  async say(text: string): Promise<void> {
    const line = encodeText(text + "\n");
    if (line.length > MAX_PLAIN_LINE_BYTES) throw new P2pError("Line not sent: longer than 1 MiB");
    if (this.#connections.size === 0) this.#output.say("Nobody is here yet to read that.");
    await Promise.all([...this.#connections].map(async (connection) => {
      const cancel = systemClock.after(DEAD_AFTER_MS, () => connection.close());
      await connection.write(line).catch(() => connection.close());
      cancel();
    }));
  }

  /** We have no more to say. Who does not leave within a second then is left. */
  async finish(): Promise<void> {
    const ended = [...this.#connections].map((connection) => connection.closeWrite());
    await Promise.allSettled(ended);
    systemClock.after(GOODBYE_TIMEOUT_MS, () => this.close());
  }

  /** Whether this side has ended it. */
  get closed(): boolean {
    return this.#closed;
  }

  close(): void {
    this.#closed = true;
    for (const connection of this.#connections) connection.close();
  }
}

/**
 * The lines that arrive; what stands behind the last line end is a line, too.
 * @param dialled whether it was this side that dialled
 * @throws {ProtocolError} if the other side is a p2p that wants to be encrypted, or a line is too
 *   long
 */
async function* plainLines(
  connection: Connection,
  dialled: boolean,
): AsyncGenerator<string> {
  const received = new ReceiveBuffer(FIRST_READ_BYTES);
  const decoder = new TextDecoder();
  let first = true;
  for (;;) {
    const bytes = await connection.read(received.space());
    if (bytes === null) break;
    received.filled(bytes.length);
    if (first && !dialled) await refuseSession(connection, received);
    for (let line = nextLine(received); line; line = nextLine(received)) {
      const text = decoder.decode(line);
      if (first && dialled && text === ADVICE) throw encryptedError(connection.remote);
      first = false;
      yield text;
    }
  }
  if (received.pending > 0) yield decoder.decode(received.takeAll());
}

function nextLine(received: ReceiveBuffer): Uint8Array | undefined {
  return received.takeLine(MAX_PLAIN_LINE_BYTES);
}

async function refuseSession(connection: Connection, received: ReceiveBuffer): Promise<void> {
  if (classifyFirstBytes(received.peek()) !== "p2p") return;
  await connection.write(
    errorPreface("it listens with --plain: connect with --plain, too, or let it listen without"),
  );
  throw new ProtocolError("it wanted an encrypted session, and this side was started with --plain");
}

function encryptedError(remote: string): ProtocolError {
  return new ProtocolError(`Plain chat not possible: ${remote} takes encrypted ones only`, {
    hint: `Leave --plain out: p2p connect ${remote}`,
  });
}
