/** What stands under a folder, in a form that two of them can be compared in. */
import { createHash } from "node:crypto";

export interface TreeNode {
  kind: "file" | "directory" | "link";
  /** Permission bits; none for links. */
  mode?: number;
  /** Milliseconds since 1970. */
  mtime?: number;
  /** Of a file: its size and SHA-256; of a link: its target. */
  content: string;
}

/** By path relative to the folder, "" for itself. Names are as the disk has them. */
export function readTree(folder: string): Record<string, TreeNode> {
  const nodes: Record<string, TreeNode> = {};
  function walk(path: string, name: string): void {
    nodes[name] = readNode(path);
    if (nodes[name].kind !== "directory") return;
    for (const child of Deno.readDirSync(path)) {
      walk(`${path}/${child.name}`, name === "" ? child.name : `${name}/${child.name}`);
    }
  }
  walk(folder, "");
  return nodes;
}

function readNode(path: string): TreeNode {
  const info = Deno.lstatSync(path);
  if (info.isSymlink) return { kind: "link", content: Deno.readLinkSync(path) };
  const known = { mode: info.mode! & 0o777, mtime: info.mtime!.getTime() };
  if (info.isDirectory) return { kind: "directory", ...known, content: "" };
  const digest = createHash("sha256").update(Deno.readFileSync(path)).digest("hex");
  return { kind: "file", ...known, content: `${info.size} ${digest}` };
}
