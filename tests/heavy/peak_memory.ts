/** The most memory that a process has held so far, in MB (10^6 bytes). Linux only. @throws {NotFound} if it is gone */
export function peakMemory(pid: number): number {
  const status = Deno.readTextFileSync(`/proc/${pid}/status`);
  const [, kibibytes] = status.match(/^VmHWM:\s*(\d+) kB$/m) ?? [];
  // A process that has ended and was not waited for has no memory.
  if (kibibytes === undefined) throw new Deno.errors.NotFound(`Process ${pid} has ended`);
  return Number(kibibytes) * 1024 / 1e6;
}
