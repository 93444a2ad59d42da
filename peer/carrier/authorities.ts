/**
 * Has TLS's client believe in nothing but the certificate that it is handed (protocol/README.md,
 * section 14). The runtime believes in others besides: those of Mozilla or of the system, and those
 * that the environment names. It finds them once in a process, when it first uses TLS, and looks at
 * the environment only then: there must be none to find.
 */

/** A DENO_TLS_CA_STORE that there is not, so that looking for its authorities fails. */
const NO_SUCH_STORE = "p2p";

let result: boolean | undefined;

/**
 * Takes the authorities away, and the variables that name them. To be called early: where the
 * runtime is free to, it looks for a newer version of itself half a second after it began.
 * @returns whether there are none. There may be where the runtime has used TLS in this process
 *   before: to fetch a module, to look for a newer version
 */
export function believesNoAuthority(): boolean {
  return result ??= takeAway();
}

function takeAway(): boolean {
  Deno.env.delete("DENO_CERT");
  Deno.env.delete("NODE_EXTRA_CA_CERTS");
  Deno.env.set("DENO_TLS_CA_STORE", NO_SUCH_STORE);
  const foundBefore = findsAuthorities();
  Deno.env.set("DENO_TLS_CA_STORE", "");
  return !foundBefore && findsAuthorities();
}

/** Has the runtime find authorities unless it has; whether that succeeded, with any or none. */
function findsAuthorities(): boolean {
  try {
    Deno.createHttpClient({}).close();
    return true;
  } catch {
    return false;
  }
}
