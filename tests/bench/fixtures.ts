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
