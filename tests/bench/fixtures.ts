const CHUNK_BYTES = 65_536;

/** Writes a file of random bytes, on the disk when this resolves. */
export async function randomFile(path: string, bytes: number): Promise<void> {
  using file = await Deno.create(path);
  const chunk = new Uint8Array(CHUNK_BYTES);
  for (let left = bytes; left > 0; left -= chunk.length) {
    const part = crypto.getRandomValues(chunk).subarray(0, left);
    for (let done = 0; done < part.length;) done += await file.write(part.subarray(done));
  }
  await file.sync();
}

/** Makes a folder of files of random bytes, a hundred to a subfolder. */
export async function randomFolder(path: string, files: number, bytes: number): Promise<void> {
  for (let number = 0; number < files; number++) {
    const folder = `${path}/${Math.floor(number / 100)}`;
    await Deno.mkdir(folder, { recursive: true });
    await Deno.writeFile(`${folder}/${number}`, crypto.getRandomValues(new Uint8Array(bytes)));
  }
}

/**
 * Has so many bytes of the machine's memory present for what is measured at once, by a file in a
 * folder that is gone again afterwards. A virtual machine gives memory that it does not use back to
 * its host, and is given it again only when it touches it: for the next file so large that costs up
 * to two seconds of CPU, of whoever happens to write it.
 */
export function presentMemory(folder: string, bytes: number): void {
  const path = `${folder}/memory`;
  {
    using file = Deno.createSync(path);
    const chunk = new Uint8Array(CHUNK_BYTES);
    for (let done = 0; done < bytes;) done += file.writeSync(chunk);
  }
  Deno.removeSync(path);
}
