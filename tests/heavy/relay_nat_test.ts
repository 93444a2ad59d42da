/** By name between machines behind routers: straight where one can be reached, else relayed. */
import { assert, assertEquals } from "@std/assert";
import { type NatHost, type NatLab, natTest } from "../fakes/nat_lab.ts";
import { Program } from "../fakes/program.ts";
import { TemporaryFolder } from "../fakes/temporary_folder.ts";
import { randomFile } from "../bench/fixtures.ts";
import { assertSameBytes } from "./same_bytes.ts";

const RELAY_PORT = 8080;
const FILM_BYTES = 20_000_000;
/** Where the listener takes connections. */
const LISTENER_PORT = 8080;
/** Milliseconds in which whoever asks by name must be connected. */
const CONNECTED_WITHIN_MS = 2_000;

/** A relay in the lab, and a listener on one host that is registered there. */
class Meeting implements AsyncDisposable {
  readonly folder = new TemporaryFolder();
  readonly #lab: NatLab;
  readonly #relay: Program;
  readonly #address: string;
  listener!: Program;

  private constructor(lab: NatLab, relay: Program, address: string) {
    this.#lab = lab;
    this.#relay = relay;
    this.#address = address;
  }

  static async open(lab: NatLab): Promise<Meeting> {
    const words = ["relay", "--port", String(RELAY_PORT), "--json"];
    const relay = Program.start(words, { before: lab.on("relay") });
    await relay.until("listening");
    const meeting = new Meeting(lab, relay, `${await lab.address("relay")}:${RELAY_PORT}`);
    const incoming = meeting.folder.folder("incoming");
    meeting.listener = meeting.start("b", ["listen", "--dir", incoming, "--yes"], "bella");
    await meeting.listener.until("registered");
    return meeting;
  }

  /** Runs the program on a host, with the relay. */
  start(host: NatHost, words: string[], name: string): Program {
    const flags = ["--relay", this.#address, "--name", name, "--json"];
    return Program.start([...words, ...flags], {
      before: this.#lab.on(host),
      config: this.folder.join(name),
    });
  }

  /** Sends a film from `a`; tells the path, and how long it took to be connected. */
  async sendFilm(): Promise<{ path: string; milliseconds: number }> {
    await this.makeFilm();
    const started = performance.now();
    await using sender = this.startFilm();
    const { path } = await sender.until("connected");
    const milliseconds = performance.now() - started;
    await this.filmArrived(sender);
    return { path, milliseconds };
  }

  async makeFilm(): Promise<void> {
    await randomFile(this.folder.join("film.mkv"), FILM_BYTES);
  }

  /** Begins to send the film. */
  startFilm(): Program {
    const words = ["send", "--to", "bella", "--file", this.folder.join("film.mkv")];
    return this.start("a", words, "anna");
  }

  /** Waits until the film has been sent, and compares. */
  async filmArrived(sender: Program): Promise<void> {
    const { code, stderr } = await sender.finished();
    assertEquals(code, 0, stderr);
    await this.listener.until("received");
    await assertSameBytes(this.folder.join("film.mkv"), this.folder.join("incoming/film.mkv"));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.listener[Symbol.asyncDispose]();
    await this.#relay[Symbol.asyncDispose]();
    this.folder[Symbol.dispose]();
  }
}

for (
  const [a, b, path] of [
    ["port-restricted", "port-restricted", "relayed"],
    ["symmetric", "symmetric", "relayed"],
    ["none", "firewall", "relayed"],
    ["udp-blocked", "none", "direct"],
    ["port-restricted", "none", "direct"],
    ["same-lan", "port-restricted", "lan"],
  ] as const
) {
  natTest(`by name from ${a} to ${b}: ${path}, within two seconds`, [a, b], async (lab) => {
    await using meeting = await Meeting.open(lab);
    const sent = await meeting.sendFilm();
    assertEquals(sent.path, path);
    assert(sent.milliseconds < CONNECTED_WITHIN_MS, `connected after ${sent.milliseconds} ms`);
  });
}

natTest(
  "by name over a slow line that loses packets: relayed",
  ["port-restricted", "port-restricted", "--delay", "40", "--loss", "5"],
  async (lab) => {
    await using meeting = await Meeting.open(lab);
    await using chat = meeting.start("a", ["connect", "bella"], "anna");
    assertEquals((await chat.until("connected")).path, "relayed");
    await chat.write("can you hear me?\n");
    assertEquals((await meeting.listener.until("message")).text, "can you hear me?");
  },
);

/** From now on everything to and from the listener's port vanishes. What it dials itself goes on. */
async function cutDirect(lab: NatLab): Promise<void> {
  const rules = `table inet cut {
    chain in { type filter hook input priority 0; tcp dport ${LISTENER_PORT} drop; }
    chain out { type filter hook output priority 0; tcp sport ${LISTENER_PORT} drop; }
  }`;
  await lab.run("b", "nft", rules);
}

async function restoreDirect(lab: NatLab): Promise<void> {
  await lab.run("b", "nft", "delete table inet cut");
}

/** What a program told of its connection, in order. */
function pathsOf({ events }: Program): string[] {
  const told = events.filter(({ event }) => /^(connected|path|away|back)$/.test(event));
  return told.map(({ event, path }) => `${event} ${path ?? ""}`.trim());
}

natTest(
  "by name: a file that began through the relay goes straight as soon as that can be",
  ["none", "none", "--rate", "40"],
  async (lab) => {
    await using meeting = await Meeting.open(lab);
    await cutDirect(lab);
    await meeting.makeFilm();
    await using sender = meeting.startFilm();
    await sender.until("progress");
    await restoreDirect(lab);
    await meeting.filmArrived(sender);
    for (const side of [sender, meeting.listener]) {
      assertEquals(pathsOf(side), ["connected relayed", "path direct"]);
    }
  },
);

natTest(
  "by name: a file whose straight path goes silent in the middle goes on through the relay",
  ["none", "none", "--rate", "40"],
  async (lab) => {
    await using meeting = await Meeting.open(lab);
    await meeting.makeFilm();
    await using sender = meeting.startFilm();
    await sender.until("progress", ({ bytes }) => bytes > 0);
    await cutDirect(lab);
    await meeting.filmArrived(sender);
    for (const side of [sender, meeting.listener]) {
      assertEquals(pathsOf(side), ["connected direct", "away", "back relayed", "path relayed"]);
    }
  },
);
