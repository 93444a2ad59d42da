/**
 * A process of its own that is TLS's client at each of the ports, and prints for each whether it
 * believed the server: `tls_client.ts CERTIFICATE any|none|late PORT…`, the certificate that it is
 * handed in hexadecimal. With `none` it takes the authorities away first, with `late` after it has
 * used TLS; both print whether there are none.
 */
import { believesNoAuthority } from "../../peer/carrier/authorities.ts";
import { dialTcp } from "../../peer/carrier/tcp.ts";

const [certificate, authorities, ...ports] = Deno.args;
if (authorities === "late") Deno.createHttpClient({}).close();
if (authorities !== "any") console.log(believesNoAuthority());
for (const port of ports) console.log(await believes(Number(port)));

async function believes(port: number): Promise<boolean> {
  const { signal } = new AbortController();
  await using connection = await dialTcp({ host: "127.0.0.1", port }, signal);
  await connection.startTls(Uint8Array.fromHex(certificate!));
  return await connection.read().then(() => true, () => false);
}
