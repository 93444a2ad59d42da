/** Said of a host name that stands for no address. */
export const NO_SUCH_HOST = "no such host name";

/** The system's network errors in a few plain words, for the end of a sentence. */
export function describeNetworkError(error: unknown): string {
  for (const [type, words] of KINDS) if (error instanceof type) return words;
  const words = CODES[(error as { code?: string } | undefined)?.code ?? ""];
  if (words !== undefined) return words;
  const text = error instanceof Error ? error.message : String(error);
  if (/failed to lookup|name or service|no such host|nodename/i.test(text)) {
    return NO_SUCH_HOST;
  }
  if (/no route|unreachable/i.test(text)) return "no route there";
  return text.replace(/\s*\(os error \d+\).*/s, "").toLowerCase();
}

const KINDS: [new (...args: never[]) => Error, string][] = [
  [Deno.errors.ConnectionRefused, "nobody listens there"],
  [Deno.errors.ConnectionReset, "the other side broke off"],
  [Deno.errors.ConnectionAborted, "the connection was aborted"],
  [Deno.errors.BrokenPipe, "the other side broke off"],
  [Deno.errors.TimedOut, "no answer"],
  [Deno.errors.NetworkUnreachable, "no route there"],
  [Deno.errors.UnexpectedEof, "the other side broke off"],
  [Deno.errors.AddrNotAvailable, "this machine does not have that address"],
  [Deno.errors.BadResource, "it was closed"],
  [Deno.errors.Interrupted, "it was closed"],
];

/** What errors of node:net and node:dns have as their code. */
const CODES: Record<string, string> = {
  ECONNREFUSED: "nobody listens there",
  ECONNRESET: "the other side broke off",
  ECONNABORTED: "the connection was aborted",
  EPIPE: "the other side broke off",
  ETIMEDOUT: "no answer",
  ENETUNREACH: "no route there",
  EHOSTUNREACH: "no route there",
  EADDRNOTAVAIL: "this machine does not have that address",
  EMFILE: "too many open files",
  ENFILE: "too many open files",
  EADDRINUSE: "another program has the port",
  ENOTFOUND: NO_SUCH_HOST,
  EAI_AGAIN: NO_SUCH_HOST,
};
