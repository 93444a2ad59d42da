/** What `--help` prints. */
import type { CommandName } from "./args.ts";

/** The help of the program, or of one command; ends with a newline. */
export function usage(_command?: CommandName): string {
  return "";
}
