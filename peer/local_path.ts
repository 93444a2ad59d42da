/** Paths as people type them in a chat, used as they are to it from a shell. */

/** A path without quotes around it, and with their home for a tilde. */
export function localPath(text: string): string {
  return expandHome(/^(["'])(.*)\1$/s.exec(text)?.[2] ?? text);
}

/** A path with the user's home for the tilde that it begins with. */
export function expandHome(path: string): string {
  const home = Deno.env.get("HOME") ?? Deno.env.get("USERPROFILE");
  return home !== undefined && /^~[/\\]/.test(path) ? home + path.slice(1) : path;
}
