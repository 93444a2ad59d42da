/**
 * Runs the work while no other process that asks for the same lock file runs its own. The lock is
 * the operating system's: it ends with the process, so that none is ever left behind. The file
 * stays, empty, because removing it would let two processes hold two files of the same name.
 */
export async function withFileLock<Result>(
  path: string,
  work: () => Promise<Result>,
): Promise<Result> {
  using file = await Deno.open(path, { write: true, create: true, mode: 0o600 });
  await file.lock(true);
  return await work();
}
