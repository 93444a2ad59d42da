/**
 * The text as one word for a POSIX shell, so that a command that we print can be pasted as it is.
 */
export function shellWord(text: string): string {
  return /^[\w./:@%+,][\w./:@%+,=-]*$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
