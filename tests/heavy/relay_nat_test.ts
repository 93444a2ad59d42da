/** By name between machines behind routers: straight where one can be reached, else relayed. */
import { assert, assertEquals } from "@std/assert";
import { type NatHost, type NatLab, natTest } from "../fakes/nat_lab.ts";
import { Program } from "../fakes/program.ts";
import { TemporaryFolder } from "../fakes/temporary_folder.ts";
import { randomFile } from "../bench/fixtures.ts";
import { assertSameBytes } from "./same_bytes.ts";

const RELAY_PORT = 8080;
const FILM_BYTES = 20_000_000;
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
    const film = this.folder.join("film.mkv");
    await randomFile(film, FILM_BYTES);
    const started = performance.now();
    await using sender = this.start("a", ["send", "--to", "bella", "--file", film], "anna");
    const { path } = await sender.until("connected");
    const milliseconds = performance.now() - started;
    await sender.until("sent");
    assertEquals((await sender.finished()).code, 0);
    await assertSameBytes(film, this.folder.join("incoming/film.mkv"));
    return { path, milliseconds };
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
