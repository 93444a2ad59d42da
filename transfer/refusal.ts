/**
 * How a transfer that one side stops looks to the other (README.md of protocol, section 7, codes of
 * REFUSE and ABORT).
 */
import { P2pError, ProtocolError, RefusedError } from "../protocol/errors.ts";
import { type Refusal, RefuseCode } from "../protocol/offer.ts";

const WORDS: Record<RefuseCode, { state: string; hint?: string }> = {
  [RefuseCode.declined]: { state: "declined" },
  [RefuseCode.nobody]: {
    state: "nobody is there to ask",
    hint: "Ask the other side to start with --yes, or at a terminal",
  },
  [RefuseCode.unsafeName]: {
    state: "a name is not safe everywhere",
    hint: "Rename the file and send it again",
  },
  [RefuseCode.noSpace]: {
    state: "not enough space on its disk",
    hint: "Send again when there is more space: what has arrived is kept",
  },
  [RefuseCode.exists]: {
    state: "something else stands there under that name",
    hint: "Ask the other side to use --conflict rename",
  },
  [RefuseCode.folder]: {
    state: "its target folder cannot be written",
    hint: "Ask the other side to choose another folder with --dir",
  },
  [RefuseCode.cancelled]: {
    state: "stopped",
    hint: "Send again: it goes on where it stopped",
  },
  [RefuseCode.wrongSort]: {
    state: "it does not take this sort of data",
    hint: "Standard input (-) goes to a side started with --stdout, files to one without",
  },
  [RefuseCode.busy]: {
    state: "it is receiving the same already",
    hint: "Wait until the other transfer has ended",
  },
  [RefuseCode.malformed]: { state: "it did not understand what was sent" },
};

/**
 * The receiver did not want the files, or stopped on the way. `refusal.text` came from the network
 * as it is.
 */
export class OfferRefusedError extends RefusedError {
  constructor(readonly refusal: Refusal, options: { cause?: unknown } = {}) {
    const { state, hint } = WORDS[refusal.code];
    const text = refusal.text === "" ? "" : ` (${refusal.text})`;
    super(`Files refused by the other side: ${state}${text}`, {
      ...(hint && { hint }),
      ...options,
    });
  }
}

/** Thrown inside a receive: what the other side is told, and what this side throws. */
export class Stop extends Error {
  /** @param text is for the other side: it must not name local folders */
  constructor(readonly code: RefuseCode, readonly error: P2pError, readonly text = "") {
    super(error.message, { cause: error });
  }
}

/** What the other side is told of an error in a receive. */
export function refusalOf(error: unknown): Refusal {
  if (error instanceof Stop) return { code: error.code, text: error.text };
  if (error instanceof ProtocolError) return { code: RefuseCode.malformed, text: error.message };
  if (error instanceof P2pError && error.code === "file") {
    const full = isNoSpace(error.cause);
    return { code: full ? RefuseCode.noSpace : RefuseCode.folder, text: "" };
  }
  return { code: RefuseCode.cancelled, text: "" };
}

function isNoSpace(cause: unknown): boolean {
  const code = (cause as { code?: unknown } | undefined)?.code;
  return code === "ENOSPC" || code === "EDQUOT" || code === "EFBIG";
}
