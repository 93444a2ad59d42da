/** The one place that turns an error into words and an exit code. */
import { type ErrorCode, P2pError } from "../protocol/errors.ts";
import { escapeText } from "./terminal/escape.ts";

/** What becomes of the program after an error of each sort. 0 is never among them. */
export const EXIT_CODES: Readonly<Record<ErrorCode, number>> = {
  failed: 1,
  usage: 2,
  refused: 3,
  unreachable: 4,
  protocol: 4,
  identity: 5,
  file: 6,
  interrupted: 130,
};

/** An error in words, safe to print. */
export interface Description {
  code: ErrorCode;
  exit: number;
  /** One line. */
  message: string;
  /** The next thing to try, one line. */
  hint?: string;
  /** Where it came from, for people who debug; its lines are escaped. */
  stack: string[];
}

/** Describes anything that was thrown. */
export function describe(error: unknown): Description {
  const { code, message, hint } = wordsFor(error);
  return {
    code,
    exit: EXIT_CODES[code],
    message: escapeText(message),
    ...(hint === undefined ? {} : { hint: escapeText(hint) }),
    stack: stackOf(error),
  };
}

/** What to try after an error that does not say it itself. */
const USUAL_HINTS: Partial<Record<ErrorCode, string>> = {
  protocol: "Both sides need the same version of p2p; if they have it, try again.",
  unreachable: "Try again; what has arrived of a file is kept.",
};

interface Words {
  code: ErrorCode;
  message: string;
  hint?: string | undefined;
}

function wordsFor(error: unknown): Words {
  if (error instanceof P2pError) {
    const { code, message } = error;
    return { code, message, hint: error.hint ?? USUAL_HINTS[code] };
  }
  if (error instanceof DOMException && error.name === "AbortError") {
    return { code: "interrupted", message: "Interrupted" };
  }
  if (error instanceof Deno.errors.NotCapable) return missingPermission(error);
  return {
    code: "failed",
    message: `Unexpected failure: ${firstLine(error)}`,
    hint: "Run it again with P2P_DEBUG=1 to see where it came from.",
  };
}

/** Deno names the flag that would allow it in the second half of its message. */
function missingPermission(error: Error): Words {
  const flag = /--allow-[a-z-]+/.exec(error.message)?.[0];
  return {
    code: "failed",
    message: `Not permitted: ${error.message.replace(/, run again.*/s, "")}`,
    hint: flag ? `Run it with deno run ${flag} …` : undefined,
  };
}

function firstLine(error: unknown): string {
  return inWords(error).split("\n", 1)[0]!;
}

function inWords(error: unknown): string {
  if (error instanceof Error) return `${error.name}: ${error.message}`;
  return typeof error === "string" ? error : Deno.inspect(error);
}

function stackOf(error: unknown): string[] {
  const lines: string[] = [];
  for (let cause = error; cause instanceof Error && lines.length < 200; cause = cause.cause) {
    const stack = (cause.stack ?? String(cause)).split("\n").map(escapeText);
    lines.push(...(lines.length ? [`Caused by: ${stack[0]}`, ...stack.slice(1)] : stack));
  }
  return lines;
}
