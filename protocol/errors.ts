/**
 * The errors that somebody decides on. Messages read "action, colon, state", are capitalised and
 * have no final period; `hint` is the next thing to try. `peer/words.ts` alone turns them into
 * words and exit codes.
 */

/** What `--json` calls an error, and what decides the exit code. */
export type ErrorCode =
  | "failed"
  | "usage"
  | "refused"
  | "unreachable"
  | "protocol"
  | "identity"
  | "file"
  | "interrupted";

export interface P2pErrorOptions {
  /** The next thing to try, a whole sentence or a command. */
  hint?: string;
  cause?: unknown;
}

/** Any failure that is told to a person. */
export class P2pError extends Error {
  readonly code: ErrorCode = "failed";
  readonly hint: string | undefined;
  /** Whether it was told when it happened, and decides the exit code only. */
  told = false;

  constructor(message: string, options: P2pErrorOptions = {}) {
    super(message, { cause: options.cause });
    this.name = new.target.name;
    this.hint = options.hint;
  }
}

/** The command line says something that cannot be meant. */
export class UsageError extends P2pError {
  override readonly code = "usage";
}

/** The other side said no. */
export class RefusedError extends P2pError {
  override readonly code = "refused";
}

/** The peer could not be reached, or was lost. */
export class UnreachableError extends P2pError {
  override readonly code = "unreachable";
}

/** Nothing has come for too long, though nothing has ended: what is sent may be lost on the way. */
export class SilenceError extends UnreachableError {}

/**
 * The other side sent something that the protocol does not allow, or that was altered on the way.
 */
export class ProtocolError extends P2pError {
  override readonly code = "protocol";
}

/** A key or a code is not the one that was expected. */
export class IdentityError extends P2pError {
  override readonly code = "identity";
}

/** A file or folder of this machine cannot be read or written. */
export class FileError extends P2pError {
  override readonly code = "file";
}

/** The user pressed Ctrl-C, or a signal asked the program to end. */
export class InterruptedError extends P2pError {
  override readonly code = "interrupted";
}

/** The other side reset a stream: 0 cancelled, 1 not wanted, 2 failed. */
export class StreamResetError extends P2pError {
  constructor(readonly resetCode: number) {
    super(
      `Stream ended by the other side: ${
        ["cancelled", "not wanted", "failed"][resetCode] ?? "unknown reason"
      }`,
    );
  }
}
