/** Messages over plain TCP in Deno, with nothing of ours: what the platform leaves us to reach. */
import { type Carrier, type Pipe, runMessagePair } from "./message_pair.ts";

const CHUNK_BYTES = 65_536;

const plainTcp: Carrier = {
  listen(serve) {
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    acceptAll(listener, serve);
    return Promise.resolve(`127.0.0.1:${listener.addr.port}`);
  },
  async connect(address) {
    const [hostname, port] = address.split(":");
    return pipeOf(await Deno.connect({ hostname: hostname!, port: Number(port) }));
  },
};

async function acceptAll(
  listener: Deno.TcpListener,
  serve: (pipe: Pipe) => Promise<void>,
): Promise<void> {
  for await (const connection of listener) {
    const pipe = pipeOf(connection);
    serve(pipe).finally(() => pipe.close());
  }
}

function pipeOf(connection: Deno.TcpConn): Pipe {
  connection.setNoDelay(true);
  const chunk = new Uint8Array(CHUNK_BYTES);
  return {
    async read() {
      const length = await connection.read(chunk);
      return length === null ? null : chunk.subarray(0, length);
    },
    async write(bytes) {
      for (let done = 0; done < bytes.length;) done += await connection.write(bytes.subarray(done));
    },
    close: () => connection.close(),
  };
}

await runMessagePair(plainTcp);
