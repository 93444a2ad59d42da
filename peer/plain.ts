/**
 * Plain chat: lines of UTF-8 with anything that speaks them, nc and the original program included. No names, no files, and no
 * protection at all.
 */
import { encodeText } from "../protocol/bytes.ts";
import type { Connection } from "../protocol/connection.ts";
import { P2pError, ProtocolError } from "../protocol/errors.ts";
import { ReceiveBuffer } from "../protocol/framing.ts";
import { DEAD_AFTER_MS, MAX_PLAIN_LINE_BYTES } from "../protocol/limits.ts";
import { classifyFirstBytes, errorPreface } from "../protocol/preface.ts";
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

  constructor(output: Output) {
    this.#output = output;
  }

  /** Takes a connection in until it ends. */
  async enter(connection: Connection): Promise<void> {
    const { remote, path } = connection;
    this.#connections.add(connection);
    this.#output.say(`Connected to ${remote} (${path}, NOT encrypted)`);
    this.#output.event("connected", { peer: remote, path, plain: true });
    try {
      for await (const line of plainLines(connection)) this.#output.message(remote, line);
      this.#output.say(`${remote} has left`);
    } catch (error) {
      if (!(error instanceof P2pError)) throw error;
      this.#output.warn(`${remote} is gone: ${error.message}`);
    } finally {
      this.#connections.delete(connection);
      connection.close();
      this.#output.event("disconnected", { peer: remote });
    }
  }

  /** Sends a line to everybody. Somebody who takes none for 20 s is given up. */
  async say(text: string): Promise<void> {
    if (this.#connections.size === 0) this.#output.say("Nobody is here yet to read that.");
    const line = encodeText(text + "\n");
    await Promise.all([...this.#connections].map(async (connection) => {
      const cancel = systemClock.after(DEAD_AFTER_MS, () => connection.close());
      await connection.write(line).catch(() => connection.close());
      cancel();
    }));
  }

  /** We have no more to say. */
  async finish(): Promise<void> {
    const ended = [...this.#connections].map((connection) => connection.closeWrite());
    await Promise.allSettled(ended);
  }

  close(): void {
    for (const connection of this.#connections) connection.close();
  }
}

/**
 * The lines that arrive; what stands behind the last line end is a line, too.
 * @throws {ProtocolError} if the other side is a p2p that wants to be encrypted, or a line is too long
 */
export async function* plainLines(connection: Connection): AsyncGenerator<string> {
  const received = new ReceiveBuffer(FIRST_READ_BYTES);
  const decoder = new TextDecoder();
  let first = true;
  for (;;) {
    const bytes = await connection.read(received.space());
    if (bytes === null) break;
    received.filled(bytes.length);
    if (first) await refuseSession(connection, received);
    first = first && received.pending < 4;
    for (let line = nextLine(received); line; line = nextLine(received)) yield decoder.decode(line);
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
