/**
 * Whether TLS's client may believe authorities here that are none of the runtime's own: those could
 * vouch for somebody in between (protocol/README.md, section 14), and companies have such. The
 * runtime does not let a connection believe in one certificate only.
 */
const ADDING = ["NODE_EXTRA_CA_CERTS", "DENO_NODE_USE_OPENSSL_CA"];

/** @param env looks up an environment variable */
export function believesOthers(
  env: (name: string) => string | undefined = (name) => Deno.env.get(name),
): boolean {
  // Deno fails where it is set to nothing.
  if (env("DENO_CERT") !== undefined) return true;
  return ADDING.some((name) => env(name)) || (env("DENO_TLS_CA_STORE") || "mozilla") !== "mozilla";
}
