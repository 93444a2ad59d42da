/**
 * Puts a file that only its owner may read in place, whole or not at all. Of those that write
 * the same path one at a time may do so: the caller holds a lock.
 */
export async function writePrivateFile(path: string, text: string): Promise<void> {
  const temporary = `${path}.new`;
  // One that a crash left behind might be readable by others: its mode would stay.
  await Deno.remove(temporary).catch(ignoreNotFound);
  {
    using file = await Deno.open(temporary, { write: true, createNew: true, mode: 0o600 });
    await writeAll(file, new TextEncoder().encode(text));
    await file.sync();
  }
  await Deno.rename(temporary, path);
}

/** Adds to the end of a file that only its owner may read, which is made if it is not there. */
export async function appendPrivateFile(path: string, text: string): Promise<void> {
  using file = await Deno.open(path, { append: true, create: true, mode: 0o600 });
  await writeAll(file, new TextEncoder().encode(text));
  await file.sync();
}

async function writeAll(file: Deno.FsFile, bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.length;) done += await file.write(bytes.subarray(done));
}

function ignoreNotFound(error: unknown): void {
  if (!(error instanceof Deno.errors.NotFound)) throw error;
}
