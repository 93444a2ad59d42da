/**
 * The least that an encrypted copy costs on Deno: read, seal, send; receive, open, write. No
 * handshake, no session, no wait for the disk. What p2p takes above it is ours to save; what it
 * takes itself is not.
 */
import { MAX_PAYLOAD_BYTES, TAG_BYTES } from "../../protocol/limits.ts";
import { CipherState } from "../../protocol/noise.ts";
import { freeBytes } from "../../protocol/bytes.ts";

const RECORD_BYTES = MAX_PAYLOAD_BYTES + TAG_BYTES;
/** Records that are sealed, or received, at a time. */
const RECORDS = 4;
/** No secret: only the work counts. */
const KEY = new Uint8Array(32);

async function send(port: number, path: string): Promise<void> {
  using connection = await Deno.connect({ hostname: "127.0.0.1", port });
  using file = Deno.openSync(path);
  const cipher = new CipherState(KEY);
  const plain = new Uint8Array(RECORDS * MAX_PAYLOAD_BYTES);
  const sealed = new Uint8Array(RECORDS * RECORD_BYTES);
  for (let count; (count = file.readSync(plain)) !== null;) {
    let length = 0;
    for (let at = 0; at < count; at += MAX_PAYLOAD_BYTES) {
      const record = plain.subarray(at, Math.min(count, at + MAX_PAYLOAD_BYTES));
      length += cipher.seal([record], sealed, length);
    }
    for (let done = 0; done < length;) {
      done += await connection.write(sealed.subarray(done, length));
    }
  }
}

async function receive(port: number, path: string): Promise<void> {
  using listener = Deno.listen({ hostname: "127.0.0.1", port });
  using connection = await listener.accept();
  using file = Deno.createSync(path);
  const cipher = new CipherState(KEY);
  const room = new Uint8Array(RECORDS * RECORD_BYTES);
  let pending = 0;
  for (let count; (count = await connection.read(room.subarray(pending))) !== null;) {
    pending += count;
    let opened = 0;
    for (; pending - opened >= RECORD_BYTES; opened += RECORD_BYTES) {
      write(file, cipher.open(room.subarray(opened, opened + RECORD_BYTES)));
    }
    room.copyWithin(0, opened, pending);
    pending -= opened;
  }
  if (pending > 0) write(file, cipher.open(room.subarray(0, pending)));
}

function write(file: Deno.FsFile, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length;) done += file.writeSync(bytes.subarray(done));
  freeBytes(bytes);
}

const [role, port, path] = Deno.args;
await (role === "receive" ? receive : send)(Number(port), path!);
