/** A message as the continuation of a sentence: its first letter made small. */
export function lowerFirst(text: string): string {
  return text.slice(0, 1).toLowerCase() + text.slice(1);
}
