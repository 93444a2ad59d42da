/** One line that says what the figures were measured on. */
export async function machine(): Promise<string> {
  const parts = [
    new Date().toISOString().slice(0, 10),
    `${navigator.hardwareConcurrency} cores (${await processor()})`,
    `${Deno.build.os} ${Deno.osRelease()}`,
    `Deno ${Deno.version.deno}`,
    await firstLine("ssh -V"),
    await firstLine("nc -h"),
  ];
  return parts.filter((part) => part !== "").join(", ");
}

async function processor(): Promise<string> {
  const model = /^model name\s*:\s*(.+)$/m.exec(await Deno.readTextFile("/proc/cpuinfo"));
  return model?.[1] ?? Deno.build.arch;
}

/** What a program says about itself, empty if it is not there. */
async function firstLine(command: string): Promise<string> {
  const words = ["-c", `command -v ${command.split(" ")[0]} >/dev/null && ${command} 2>&1`];
  const { stdout } = await new Deno.Command("sh", { args: words, stderr: "null" }).output();
  return new TextDecoder().decode(stdout).split("\n")[0]!.replace(/,.*/, "");
}
