/** Joins two TCP connections as fast as Deno can: what a circuit is measured beside. */

const CHUNK_BYTES = 262_144;

async function pump(from: Deno.Conn, to: Deno.Conn): Promise<void> {
  const chunk = new Uint8Array(CHUNK_BYTES);
  for (let length; (length = await from.read(chunk)) !== null;) {
    for (let done = 0; done < length;) done += await to.write(chunk.subarray(done, length));
  }
  to.close();
}

if (import.meta.main) {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  console.log(`127.0.0.1:${listener.addr.port}`);
  const [a, b] = [await listener.accept(), await listener.accept()];
  // The end that nobody sends from is closed by whoever opened it, at any time.
  await Promise.allSettled([pump(a, b), pump(b, a)]);
}
