/**
 * Shows the program at work, on this machine alone: two people chat and send files, and meet by name
 * at a third one's relay, each with a process, a folder and a key of their own. Exits with 0 only if
 * everything was as it should be, and leaves nothing behind.
 */
import { createHash } from "node:crypto";
import { join } from "node:path";
import { randomFile } from "../bench/fixtures.ts";
import { Person } from "./person.ts";

const FILM_BYTES = 50_000_000;
/** Milliseconds after which something hangs. */
const DEADLINE_MS = 60_000;
/** What `album` holds. */
const ALBUM = { "one.txt": "The first page\n", "день/два.txt": "Вторая\n", "empty.txt": "" };

interface People {
  alice: Person;
  bob: Person;
  rita: Person;
}

/** Tells what comes next. */
function tell(text: string): void {
  console.log(`\n${text}\n`);
}

/** Alice listens while the others call on her. */
async function meet({ alice, bob, rita }: People): Promise<void> {
  tell("Alice waits for others, and takes every file into the folder `received`:");
  Deno.mkdirSync(join(alice.folder, "received"));
  await using listener = alice.run(
    ..."listen --port 0 --host 127.0.0.1 --dir received --yes".split(" "),
  );
  const [, address] = await listener.shows(/p2p connect (\S+)/);
  await listener.shows(/p2p send/);

  tell("Bob joins her with the command that she was shown, and they chat:");
  await using chat = bob.run("connect", address!);
  await Promise.all([chat.shows(/^Connected to alice/), listener.shows(/^Connected to bob/)]);
  await chat.type("Good morning, Alice! Kannst du mich hören? 👋");
  await listener.shows(/^bob: Good morning, Alice! Kannst du mich hören\? 👋$/);
  await listener.type("Loud and clear, Bob");
  await chat.shows(/^alice: Loud and clear, Bob$/);

  tell("Rita joins her, too, is told of Bob and connects to him: nobody is in the middle:");
  await using third = rita.run("connect", address!);
  await Promise.all([third.shows(/^Connected to bob/), chat.shows(/^Connected to rita/)]);
  await third.type("Hello, both of you");
  await Promise.all([listener, chat].map((each) => each.shows(/^rita: Hello, both of you$/)));
  await third.type("/quit");
  await third.ended();
  await Promise.all([listener, chat].map((each) => each.shows(/^rita has left/)));

  tell("Bob sends a small folder from within the chat, and leaves:");
  await writeAlbum(join(bob.folder, "album"));
  await chat.type("/send album");
  await Promise.all([chat.shows(/^album sent/), listener.shows(/^album received/)]);
  await chat.type("/quit");
  await chat.ended();
  await listener.shows(/^bob has left/);

  tell(`He sends a file of ${FILM_BYTES / 1e6} MB without a chat:`);
  await randomFile(join(bob.folder, "film.mkv"), FILM_BYTES);
  await using sender = bob.run("send", "--address", address!, "--file", "film.mkv");
  await sender.ended();
  await listener.shows(/^film\.mkv received/);

  tell("Alice leaves, too:");
  await listener.type("/quit");
  await listener.ended();
}

/** Nobody needs an address but that of a relay, which says who is where and no more. */
async function meetByName({ alice, bob, rita }: People): Promise<void> {
  tell("Rita runs a relay, where others meet by name:");
  await using relay = rita.runs(..."relay --port 0 --host 127.0.0.1".split(" "));
  const [, address] = await relay.shows(/p2p connect NAME --relay (\S+)/);

  tell("Alice can be found there:");
  await using listener = alice.run(
    ..."listen --port 0 --host 127.0.0.1 --relay".split(" "),
    address!,
  );
  await listener.shows(/^Registered as alice/);

  tell("Bob needs only her name, and what they say goes straight from him to her:");
  await using chat = bob.run("connect", "alice", "--relay", address!);
  await Promise.all([chat.shows(/^Connected to alice/), listener.shows(/^Connected to bob/)]);
  await chat.type("Found you");
  await listener.shows(/^bob: Found you$/);
  await chat.type("/quit");
  await chat.ended();
  await listener.type("/quit");
  await listener.ended();
}

async function writeAlbum(folder: string): Promise<void> {
  await Deno.mkdir(join(folder, "день"), { recursive: true });
  for (const [name, text] of Object.entries(ALBUM)) {
    await Deno.writeTextFile(join(folder, name), text);
  }
}

/** @throws {Error} if what Alice has is not what Bob sent */
async function compare({ alice, bob }: People): Promise<void> {
  tell("SHA-256 of what Bob sent, and of what Alice has:");
  const names = ["film.mkv", ...Object.keys(ALBUM).map((name) => `album/${name}`)];
  for (const name of names) {
    const sent = await sha256(join(bob.folder, name));
    const received = await sha256(join(alice.folder, "received", name));
    console.log(`  bob   ${sent}  ${name}\n  alice ${received}  received/${name}`);
    if (sent !== received) throw new Error(`${name} did not arrive as it was`);
  }
}

async function sha256(path: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of (await Deno.open(path)).readable) hash.update(chunk);
  return hash.digest("hex");
}

/** Aborts when the user or a signal ends the demo, or it hangs. */
function endOnSignals(): AbortSignal {
  const interrupted = new AbortController();
  const signals: Deno.Signal[] = Deno.build.os === "windows"
    ? ["SIGINT", "SIGBREAK"]
    : ["SIGINT", "SIGTERM", "SIGHUP"];
  for (const signal of signals) {
    Deno.addSignalListener(signal, () => interrupted.abort(new Error("Interrupted")));
  }
  return AbortSignal.any([interrupted.signal, AbortSignal.timeout(DEADLINE_MS)]);
}

async function main(): Promise<number> {
  const started = performance.now();
  const machines = await Deno.makeTempDir({ prefix: "p2p-demo-" });
  try {
    const signal = endOnSignals();
    const people = {
      alice: new Person("alice", machines, signal),
      bob: new Person("bob", machines, signal),
      rita: new Person("rita", machines, signal),
    };
    await meet(people);
    await compare(people);
    await meetByName(people);
    const seconds = ((performance.now() - started) / 1000).toFixed(1);
    tell(`All of it arrived as it was, in ${seconds} s.`);
    return 0;
  } catch (error) {
    console.error(`\nThe demo failed: ${error instanceof Error ? error.message : error}`);
    return 1;
  } finally {
    await Deno.remove(machines, { recursive: true });
  }
}

Deno.exit(await main());
