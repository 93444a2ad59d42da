/** Plain TCP as Deno does it best, with nothing of ours: read and write in turn, without streams. */

const CHUNK_BYTES = 262_144;

async function copy(from: Deno.Conn | Deno.FsFile, to: Deno.Conn | Deno.FsFile): Promise<void> {
  const chunk = new Uint8Array(CHUNK_BYTES);
  for (let length; (length = await from.read(chunk)) !== null;) {
    for (let done = 0; done < length;) done += await to.write(chunk.subarray(done, length));
  }
}

async function receive(port: number, path: string): Promise<void> {
  using listener = Deno.listen({ hostname: "127.0.0.1", port });
  using connection = await listener.accept();
  using file = await Deno.create(path);
  await copy(connection, file);
}

async function send(port: number, path: string): Promise<void> {
  using connection = await Deno.connect({ hostname: "127.0.0.1", port });
  using file = await Deno.open(path);
  await copy(file, connection);
}

const [role, port, path] = Deno.args;
await (role === "receive" ? receive : send)(Number(port), path!);
