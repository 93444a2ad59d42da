import { assertEquals } from "@std/assert";
import { chatCompleter } from "../../peer/chat_completion.ts";
import { COMMANDS } from "../../peer/chat_commands.ts";
import type { Peer, Room } from "../../peer/room.ts";
import { TemporaryFolder } from "../fakes/temporary_folder.ts";

/** What Tab offers behind this, with people of these names here: the line as each would make it. */
async function offered(before: string, names = ["bob b", "bert", "anna"]): Promise<string[]> {
  const peers = names.map((name) => ({ name }) as Peer);
  const room = { chatting: peers.slice(0, 2), peers } as unknown as Room;
  const { from, words } = await chatCompleter(room)(before);
  return words.map(({ text, end = "" }) => `${before.slice(0, from)}${text}${end}`);
}

Deno.test("chatCompleter() offers commands, with a space where something follows", async () => {
  assertEquals(await offered("/"), [
    ...["/msg ", "/send ", "/history ", "/l", "/p", "/nick ", "/kick ", "/help", "/quit"],
  ]);
  assertEquals(COMMANDS.length, 9);
  assertEquals(await offered("/h"), ["/history ", "/help"]);
  assertEquals(await offered("/x"), []);
  assertEquals(await offered("//"), []);
});

Deno.test("chatCompleter() offers names of those who chat, and behind /kick all", async () => {
  assertEquals(await offered("/msg "), ["/msg bert ", "/msg bob b "]);
  assertEquals(await offered("/msg bob"), ["/msg bob b "]);
  assertEquals(await offered('/msg "bo'), ['/msg "bob b" ']);
  assertEquals(await offered("/msg bob b hello b"), []);
  assertEquals(await offered("/kick a"), ["/kick anna "]);
  assertEquals(await offered("/nick b"), []);
  assertEquals(await offered("/msg b", ["b1", "b1"]), ["/msg b1 "]);
});

Deno.test("chatCompleter() offers names within what is said, but not from nothing", async () => {
  assertEquals(await offered("ask be"), ["ask bert "]);
  assertEquals(await offered("be"), ["bert "]);
  assertEquals(await offered(""), []);
  assertEquals(await offered("hello "), []);
});

Deno.test("chatCompleter() offers paths behind /send, and behind a name in it", async () => {
  using folder = new TemporaryFolder();
  folder.file("a film.mkv", "");
  folder.file("album/one.jpg", "");
  folder.file(".hidden", "");
  folder.file("bad\nname", "");
  Deno.symlinkSync(folder.join("album"), folder.join("alias"));
  Deno.symlinkSync(folder.join("nowhere"), folder.join("dangling"));
  const { path } = folder;
  assertEquals(await offered(`/send ${path}/`), [
    ...["a film.mkv", "album/", "alias/", "dangling"].map((name) => `/send ${path}/${name}`),
  ]);
  assertEquals(await offered(`/send ${path}/a f`), [`/send ${path}/a film.mkv`]);
  assertEquals(await offered(`/send ${path}/.`), [`/send ${path}/.hidden`]);
  assertEquals(await offered(`/send "${path}/a `), [`/send "${path}/a film.mkv"`]);
  assertEquals(await offered(`/send "${path}/al`), [
    `/send "${path}/album/`,
    `/send "${path}/alias/`,
  ]);
  assertEquals(await offered(`/send bob b ${path}/album/`), [
    `/send bob b ${path}/album/one.jpg`,
  ]);
  assertEquals(await offered(`/send ${path}/none/x`), []);
  assertEquals(await offered("/send be"), ["/send bert "]);
});

Deno.test("chatCompleter() offers what is in the current folder, and at home", async () => {
  using folder = new TemporaryFolder();
  folder.file("zz unique", "");
  const [cwd, home] = [Deno.cwd(), Deno.env.get("HOME")];
  try {
    Deno.chdir(folder.path);
    assertEquals(await offered("/send zz"), ["/send zz unique"]);
    assertEquals(await offered("/send bert "), ["/send bert zz unique"]);
    Deno.env.set("HOME", folder.path);
    assertEquals(await offered("/send ~/zz"), ["/send ~/zz unique"]);
  } finally {
    Deno.chdir(cwd);
    if (home !== undefined) Deno.env.set("HOME", home);
  }
});
