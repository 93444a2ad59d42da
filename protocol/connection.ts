/**
 * The two shapes that everything stands on. A Connection is an ordered byte stream to one peer and
 * nothing more, whichever network carries it; a ByteStream is one of the many that a session
 * yields.
 *
 * They are not WHATWG streams: on Deno those cost more than twice the time for a large file (1.5 s
 * against 3.6 s for 1 GiB), and they cannot hand a buffer back.
 */

/** How the bytes travel, best first. */
export type Path = "lan" | "direct" | "punched" | "relayed";

/**
 * An ordered byte stream to one peer. Closing is idempotent and ends reads and writes under way.
 */
export interface Connection extends AsyncDisposable {
  /** What carries it: "tcp", "memory", "secure tcp" … for people who debug. */
  readonly carrier: string;
  readonly path: Path;
  /** The other end, as a person would write it: "1.2.3.4:8080", "[::1]:8080". */
  readonly remote: string;
  /**
   * Where the connection itself keeps its bytes confidential, authentic and in order: SHA-256 of the
   * certificate whose private key is at one of its ends (RFC 5929, tls-server-end-point). Only who
   * has that key can have a connection with the same binding, and that is the side that dialled:
   * two who have proven their keys to each other over it, and each the same binding, are its ends.
   */
  readonly binding?: Uint8Array | undefined;

  /**
   * The next bytes, or null after the other side closed its direction. With `into` (at least one
   * byte), the bytes are placed at its start and the filled part is returned. Without, they are
   * fresh and belong to the caller. One read at a time.
   * @throws {UnreachableError} if the connection broke or was closed
   * @throws {ProtocolError} if what arrived is not what this connection carries
   */
  read(into?: Uint8Array): Promise<Uint8Array | null>;

  /**
   * Sends the parts one behind the other; resolves when the carrier took them. The parts must not
   * change until then. One write at a time.
   * @throws {UnreachableError} if the connection broke or was closed
   */
  write(...parts: Uint8Array[]): Promise<void>;

  /** Ends this side's direction; the other may go on. */
  closeWrite(): Promise<void>;

  /** Ends both directions at once. */
  close(): void;
}

/** Why a stream was reset. The values are on the wire. */
export const ResetCode = { cancelled: 0, unwanted: 1, failed: 2 } as const;
export type ResetCode = typeof ResetCode[keyof typeof ResetCode];

/** One of a session's streams. It goes on when the session changes its connection. */
export interface ByteStream {
  readonly id: number;
  /** What the stream means: "chat/1", "files/1". */
  readonly kind: string;

  /**
   * The next bytes, or null after the other side finished. They are fresh, the caller's, and the
   * only view of their buffer, so that the caller may `freeBytes` them. One read at a time. Reading
   * is what lets the other side send more.
   * @throws {StreamResetError} if the other side reset the stream
   * @throws {P2pError} what ended the session, if it ended
   */
  read(): Promise<Uint8Array | null>;

  /**
   * Queues the bytes; resolves when all of them fit the other side's window and were handed to the
   * connection. They must not change until `released` is called, which happens once, when the other
   * side has acknowledged them or the stream or session is over. One write at a time.
   * @throws as `read`
   */
  write(bytes: Uint8Array, released?: () => void): Promise<void>;

  /**
   * Says that no more will be written; resolves when the other side has acknowledged everything.
   */
  finish(): Promise<void>;

  /** Ends both directions at once. Idempotent; without effect on a stream that has ended. */
  reset(code: ResetCode): void;
}
