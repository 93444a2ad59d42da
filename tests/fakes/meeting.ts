/** A relay in the NAT laboratory, and a listener there who is registered as bella. */
import { assertEquals } from "@std/assert";
import type { Path } from "../../protocol/connection.ts";
import { randomFile } from "../bench/fixtures.ts";
import { assertSameBytes } from "../heavy/same_bytes.ts";
import type { NatHost, NatLab } from "./nat_lab.ts";
import { Program } from "./program.ts";
import { TemporaryFolder } from "./temporary_folder.ts";

const RELAY_PORT = 8080;
const FILM_BYTES = 20_000_000;

export interface MeetingOptions {
  /** The command with which bella waits. Default: `listen`. */
  command?: readonly string[];
  /** The `main.ts` to run instead of this project's. */
  program?: string;
}

export class Meeting implements AsyncDisposable {
  /** Settings of all, and files. */
  readonly folder = new TemporaryFolder();
  /** The listener, on host `b`. */
  readonly listener: Program;
  readonly relay: Program;
  /** Where the relay is, as a peer is told. */
  readonly relayAddress: string;
  readonly #lab: NatLab;
  readonly #options: MeetingOptions;

  private constructor(lab: NatLab, relay: Program, address: string, options: MeetingOptions) {
    this.#lab = lab;
    this.#options = options;
    this.relay = relay;
    this.relayAddress = address;
    const { command = ["listen"] } = options;
    const flags = ["--dir", this.folder.folder("incoming"), "--yes"];
    this.listener = this.start("b", [...command, ...flags], "bella");
  }

  /** Resolves when the listener can be asked for. */
  static async open(lab: NatLab, options: MeetingOptions = {}): Promise<Meeting> {
    const words = ["relay", "--port", String(RELAY_PORT), "--json"];
    const relay = Program.start(words, { before: lab.on("relay"), program: options.program });
    await relay.until("listening");
    const address = `${await lab.address("relay")}:${RELAY_PORT}`;
    const meeting = new Meeting(lab, relay, address, options);
    try {
      await meeting.listener.until("registered");
    } catch (error) {
      await meeting[Symbol.asyncDispose]();
      throw error;
    }
    return meeting;
  }

  /** Runs the program on a host, with the relay. */
  start(host: NatHost, words: readonly string[], name: string): Program {
    const flags = ["--relay", this.relayAddress, "--name", name, "--json"];
    return Program.start([...words, ...flags], {
      before: this.#lab.on(host),
      config: this.folder.join(name),
      program: this.#options.program,
    });
  }

  /** Joins the listener for chat, from host `a`. */
  ask(): Program {
    return this.start("a", ["connect", "bella"], "anna");
  }

  /** Makes a film, to send. */
  async makeFilm(bytes = FILM_BYTES): Promise<void> {
    await randomFile(this.film, bytes);
  }

  /** Sends the film from host `a`, in a program that does nothing else. */
  startFilm(): Program {
    return this.start("a", ["send", "--to", "bella", "--file", this.film], "anna");
  }

  /** Sends the film from within a chat. */
  async offerFilm(chat: Program): Promise<void> {
    await chat.write(`/send ${this.film}\n`);
  }

  /** Waits until such a program has sent the film, and compares. */
  async filmSent(sender: Program): Promise<void> {
    const { code, stderr } = await sender.finished();
    assertEquals(code, 0, stderr);
    await this.filmArrived();
  }

  /** Waits until the film has arrived, and compares. */
  async filmArrived(): Promise<void> {
    await this.listener.until("received");
    await this.filmIsSame();
  }

  /** Compares what has arrived with what was sent, and makes room for the next. */
  async filmIsSame(): Promise<void> {
    const arrived = this.folder.join("incoming", "film.mkv");
    await assertSameBytes(arrived, this.film);
    await Deno.remove(arrived);
  }

  /** The film's path. */
  get film(): string {
    return this.folder.join("film.mkv");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.listener[Symbol.asyncDispose]();
    await this.relay[Symbol.asyncDispose]();
    this.folder[Symbol.dispose]();
  }
}

/**
 * Waits until the bytes take one of these paths.
 * @param deadlineMs how long nothing may be told meanwhile. Default: 20 s
 */
export async function untilPath(
  program: Program,
  paths: readonly Path[],
  deadlineMs?: number,
): Promise<void> {
  for (;;) {
    const { event, path } = await program.nextEvent(`path ${paths.join(" or ")}`, deadlineMs);
    if (/^(connected|path)$/.test(event) && paths.includes(path)) return;
  }
}

/** What a program told of its connection, in order: "connected relayed", "path punched", "away". */
export function pathsOf({ events }: Program): string[] {
  const told = events.filter(({ event }) => /^(connected|path|away|back)$/.test(event));
  return told.map(({ event, path }) => `${event} ${path ?? ""}`.trim());
}
