/** Whether this machine's processor has instructions for AES: without them TLS gains nothing. */
export function sealsFast(
  { arch, os }: Pick<typeof Deno.build, "arch" | "os"> = Deno.build,
): boolean {
  return arch === "x86_64" || (arch === "aarch64" && os === "darwin");
}
