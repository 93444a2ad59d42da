/** Where a user's settings and data live on each platform. */
import { FileError } from "../protocol/errors.ts";

/** Looks up an environment variable: `(name) => Deno.env.get(name)`, but in tests. */
export type Environment = (name: string) => string | undefined;

/**
 * The folder for what a user should back up: identity, known peers. It need not exist yet.
 * @param os as `Deno.build.os` has it
 * @throws {FileError} if the environment does not tell where the user's folder is
 */
export function configFolder(env: Environment, os: string = Deno.build.os): string {
  const xdg = env("XDG_CONFIG_HOME");
  // The XDG specification has relative paths ignored.
  if (xdg !== undefined && isAbsolute(xdg, os)) return join(os, xdg, "p2p");
  if (os === "windows") return join(os, required(env, "APPDATA"), "p2p");
  const folder = os === "darwin" ? "Library/Application Support" : ".config";
  return join(os, required(env, "HOME"), folder, "p2p");
}

/**
 * The folder for what the program itself gathers: the history of chats. It need not exist yet.
 * @param os as `Deno.build.os` has it
 * @throws {FileError} if the environment does not tell where the user's folder is
 */
export function dataFolder(env: Environment, os: string = Deno.build.os): string {
  const xdg = env("XDG_DATA_HOME");
  if (xdg !== undefined && isAbsolute(xdg, os)) return join(os, xdg, "p2p");
  if (os === "windows") return join(os, required(env, "LOCALAPPDATA"), "p2p");
  const folder = os === "darwin" ? "Library/Application Support" : ".local/share";
  return join(os, required(env, "HOME"), folder, "p2p");
}

function isAbsolute(path: string, os: string): boolean {
  return os === "windows" ? /^([a-z]:)?[\\/]/i.test(path) : path.startsWith("/");
}

function join(os: string, ...parts: string[]): string {
  return parts.join(os === "windows" ? "\\" : "/");
}

function required(env: Environment, name: string): string {
  const value = env(name);
  if (value) return value;
  throw new FileError(`User's folder not found: the environment has no ${name}`, {
    hint: `Set ${name} to your own folder`,
  });
}
