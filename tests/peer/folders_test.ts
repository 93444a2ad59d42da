import { assertEquals, assertThrows } from "@std/assert";
import { configFolder, dataFolder } from "../../peer/folders.ts";
import { FileError } from "../../protocol/errors.ts";

interface Case {
  os: string;
  variables: Record<string, string>;
  config: string;
  data: string;
}

const cases: Case[] = [
  {
    os: "linux",
    variables: { HOME: "/home/a" },
    config: "/home/a/.config/p2p",
    data: "/home/a/.local/share/p2p",
  },
  {
    os: "linux",
    variables: { HOME: "/home/a", XDG_CONFIG_HOME: "/c", XDG_DATA_HOME: "/d" },
    config: "/c/p2p",
    data: "/d/p2p",
  },
  {
    os: "freebsd",
    variables: { HOME: "/home/a", XDG_CONFIG_HOME: "", XDG_DATA_HOME: "relative" },
    config: "/home/a/.config/p2p",
    data: "/home/a/.local/share/p2p",
  },
  {
    os: "darwin",
    variables: { HOME: "/Users/a" },
    config: "/Users/a/Library/Application Support/p2p",
    data: "/Users/a/Library/Application Support/p2p",
  },
  {
    os: "windows",
    variables: { APPDATA: "C:\\Users\\a\\Roaming", LOCALAPPDATA: "C:\\Users\\a\\Local" },
    config: "C:\\Users\\a\\Roaming\\p2p",
    data: "C:\\Users\\a\\Local\\p2p",
  },
  {
    os: "windows",
    variables: { XDG_CONFIG_HOME: "D:\\c", XDG_DATA_HOME: "D:/d" },
    config: "D:\\c\\p2p",
    data: "D:/d\\p2p",
  },
];

for (const { os, variables, config, data } of cases) {
  Deno.test(`configFolder() and dataFolder() on ${os} with ${Object.keys(variables)}`, () => {
    const env = (name: string) => variables[name];
    assertEquals(configFolder(env, os), config);
    assertEquals(dataFolder(env, os), data);
  });
}

Deno.test("configFolder() and dataFolder() name the variable that is missing", () => {
  assertThrows(() => configFolder(() => undefined, "linux"), FileError, "no HOME");
  assertThrows(() => configFolder(() => "", "windows"), FileError, "no APPDATA");
  assertThrows(() => dataFolder(() => "", "windows"), FileError, "no LOCALAPPDATA");
});
