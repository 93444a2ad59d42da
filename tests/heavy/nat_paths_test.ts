/** The straight path through NATs: what it carries, what it outlives, and what it must not do. */
import { assert, assertEquals, assertLess } from "@std/assert";
import { median } from "../bench/statistics.ts";
import { LabProcess } from "../fakes/lab_process.ts";
import { Meeting, pathsOf, untilPath } from "../fakes/meeting.ts";
import { type NatLab, natTest } from "../fakes/nat_lab.ts";
import { type Packet, Packets, sprayProbes } from "../fakes/packets.ts";
import type { Program } from "../fakes/program.ts";
import { timeIntroduction } from "../natlab/introduction.ts";

const MIB = 1_048_576;
/** The usual home routers. */
const HOMES: [string, string] = ["port-restricted", "port-restricted"];
/** Milliseconds without a word, longer than a NAT of `--udp-timeout 10` remembers. */
const IDLE_MS = 30_000;
/** Milliseconds in which two who ask at the same time must have a straight path each. */
const BOTH_WITHIN_MS = 6_000;
const INTRODUCTIONS = 9;
/** Milliseconds that an introduction may take beside three round trips. */
const INTRODUCTION_MS = 150;
/** Nobody's, as far as the peers can know: the relay's machine, at another address. */
const VICTIM = "198.51.100.201";
/** Datagrams that an address which does not answer may get in one attempt. */
const MAX_UNPROVEN = 40;
/** Milliseconds that an attempt lasts, and a little more. */
const ATTEMPT_MS = 4_000;

/** A chat over a punched path. */
async function punchedChat(meeting: Meeting): Promise<Program> {
  const chat = meeting.ask();
  try {
    await Promise.all([untilPath(chat, ["punched"]), untilPath(meeting.listener, ["punched"])]);
  } catch (error) {
    await chat[Symbol.asyncDispose]();
    throw error;
  }
  return chat;
}

async function says(chat: Program, text: string, meeting: Meeting): Promise<void> {
  await chat.write(`${text}\n`);
  assertEquals((await meeting.listener.until("message")).text, text);
}

natTest("a file of 200 MB through two NATs, straight", HOMES, async (lab) => {
  await using meeting = await Meeting.open(lab);
  await meeting.makeFilm(200 * MIB);
  await using chat = await punchedChat(meeting);
  const paths = pathsOf(chat);
  await meeting.offerFilm(chat);
  await meeting.filmArrived();
  assertEquals(pathsOf(chat), paths);
});

natTest("p2p punch on both sides: chat and a file, straight", HOMES, async (lab) => {
  await using meeting = await Meeting.open(lab, { command: ["punch"] });
  await meeting.makeFilm();
  await using visitor = meeting.start("a", ["punch", "--to", "bella"], "anna");
  await Promise.all([visitor, meeting.listener].map((side) => untilPath(side, ["punched"])));
  await says(visitor, "is it you?", meeting);
  await meeting.offerFilm(visitor);
  await meeting.filmArrived();
});

natTest("two who ask at the same time both get straight through", HOMES, async (lab) => {
  await using meeting = await Meeting.open(lab);
  await using anna = meeting.ask();
  await using carl = meeting.start("a", ["connect", "bella"], "carl");
  const started = performance.now();
  await Promise.all([anna, carl].map((asker) => untilPath(asker, ["punched"])));
  assertLess(performance.now() - started, BOTH_WITHIN_MS);
});

natTest(
  "a file whose punched path goes silent in the middle goes on through the relay",
  [...HOMES, "--rate", "40"],
  async (lab) => {
    await using meeting = await Meeting.open(lab);
    await meeting.makeFilm();
    await using chat = await punchedChat(meeting);
    const before = pathsOf(chat).length;
    await meeting.offerFilm(chat);
    await meeting.listener.until("progress", ({ bytes }) => bytes > 0);
    await lab.cut();
    await meeting.filmArrived();
    assertEquals(pathsOf(chat).slice(before), ["away", "back relayed", "path relayed"]);
  },
);

natTest(
  "a sender that is killed over a punched path resumes when it is started again at once",
  [...HOMES, "--rate", "40"],
  async (lab) => {
    await using meeting = await Meeting.open(lab);
    await meeting.makeFilm();
    await using killed = meeting.startFilm();
    await untilPath(killed, ["punched"]);
    await meeting.listener.until("progress", ({ bytes }) => bytes > 10 * MIB);
    killed.kill("SIGKILL");
    await killed.finished();
    await using again = meeting.startFilm();
    await meeting.filmSent(again);
    const progress = again.events.find(({ event }) => event === "progress");
    assertLess(5 * MIB, progress?.bytes);
  },
);

natTest("the relay is killed: chat and files go on over the punched path", HOMES, async (lab) => {
  await using meeting = await Meeting.open(lab);
  await meeting.makeFilm();
  await using chat = await punchedChat(meeting);
  const paths = pathsOf(chat);
  meeting.relay.kill("SIGKILL");
  await says(chat, "still there?", meeting);
  await meeting.offerFilm(chat);
  await meeting.filmArrived();
  await says(chat, "got it?", meeting);
  assertEquals(pathsOf(chat), paths);
});

natTest(
  "a punched path outlives silence that is longer than the NATs remember",
  [...HOMES, "--udp-timeout", "10"],
  async (lab) => {
    await using meeting = await Meeting.open(lab);
    await using chat = await punchedChat(meeting);
    const paths = [pathsOf(chat), pathsOf(meeting.listener)];
    await new Promise((resolve) => setTimeout(resolve, IDLE_MS));
    await says(chat, "still there?", meeting);
    assertEquals([pathsOf(chat), pathsOf(meeting.listener)], paths);
  },
);

/** The machine gets another address in its LAN, as from another access point. */
async function moveAsker(lab: NatLab): Promise<void> {
  await lab.run("a", "ip", "addr", "del", "192.168.1.10/26", "dev", "eth0");
  await lab.run("a", "ip", "addr", "add", "192.168.1.20/26", "dev", "eth0");
  await lab.run("a", "ip", "route", "add", "default", "via", "192.168.1.1");
}

natTest("the asker's address changes: it comes back, and nothing is lost", HOMES, async (lab) => {
  await using meeting = await Meeting.open(lab);
  await using chat = await punchedChat(meeting);
  await says(chat, "before", meeting);
  await moveAsker(lab);
  await says(chat, "meanwhile", meeting);
  await chat.until("back");
  await says(chat, "afterwards", meeting);
  const heard = meeting.listener.events.filter(({ event }) => event === "message");
  assertEquals(heard.map(({ text }) => text), ["before", "meanwhile", "afterwards"]);
});

natTest("two behind one NAT speak over their LAN", ["same-lan", "full-cone"], async (lab) => {
  await using meeting = await Meeting.open(lab);
  await meeting.makeFilm();
  await using chat = meeting.ask();
  const { path, address } = await chat.until("connected");
  assertEquals([path, address.split(":")[0]], ["lan", await lab.address("b")]);
  await meeting.offerFilm(chat);
  await meeting.filmArrived();
  assertEquals(pathsOf(chat), ["connected lan"]);
});

natTest(
  "from the introduction to the first byte: three round trips, and little more",
  [...HOMES, "--delay", "40"],
  async (lab) => {
    await using meeting = await Meeting.open(lab);
    const over: number[] = [];
    for (let count = 0; count < INTRODUCTIONS; count++) {
      const { firstByte, roundTrip } = await timeIntroduction(lab, meeting);
      over.push(firstByte - 3 * roundTrip);
    }
    console.log(`first byte, ms beside three round trips: ${over.map(Math.round)}`);
    assertLess(median(over), INTRODUCTION_MS);
  },
);

natTest(
  "forged and repeated probes from a third host change nothing",
  ["full-cone", "full-cone"],
  async (lab) => {
    await using meeting = await Meeting.open(lab);
    await using forger = await sprayProbes(lab, "ra");
    await using chat = await punchedChat(meeting);
    await says(chat, "is it you?", meeting);
    assert(forger.lines.length > 1, "no probe was seen, and nothing forged");
    for (const side of [chat, meeting.listener]) {
      const paths = pathsOf(side);
      assert(/ punched$/.test(paths.at(-1)!) && !paths.includes("away"), paths.join());
    }
  },
);

/** What a liar tells: sixteen ports of somebody else, and how its NAT is to be thought of. */
const LIES = {
  udp: Array.from({ length: 8 }, (_, index) => `${VICTIM}:${1000 + index}`),
  seen: Array.from({ length: 8 }, (_, index) => `${VICTIM}:${2000 + index}`),
};

/** @param words what it does: "register" or "ask", and the name for that */
function lie(lab: NatLab, meeting: Meeting, words: [string, string], mapping: string): LabProcess {
  const script = `${import.meta.dirname}/../natlab/liar.ts`;
  const command = [Deno.execPath(), "run", "-A", "--no-check", script, meeting.relayAddress];
  return new LabProcess(lab, "b", [...command, ...words, JSON.stringify({ ...LIES, mapping })]);
}

/** How many datagrams each address got within one attempt, from the first that came. */
async function attackOn(victim: Packets): Promise<number[]> {
  const isAttack = ({ protocol, target }: Packet) =>
    protocol === "udp" && target.startsWith(`${VICTIM}:`);
  await victim.until(isAttack, "a datagram to whoever was lied about");
  await new Promise((resolve) => setTimeout(resolve, ATTEMPT_MS));
  const counts = Map.groupBy(victim.seen.filter(isAttack), ({ target }) => target);
  return [...counts.values()].map((packets) => packets.length);
}

function assertBounded(counts: number[]): void {
  const most = Math.max(...counts);
  assert(most <= MAX_UNPROVEN, `${most} datagrams to one address that never answered`);
  assert(counts.length <= LIES.udp.length + LIES.seen.length, `${counts.length} addresses`);
}

natTest("a target that lies about its addresses cannot flood others", HOMES, async (lab) => {
  await using meeting = await Meeting.open(lab);
  await using liar = lie(lab, meeting, ["register", "mallory"], "independent");
  await liar.until((lines) => lines.find((line) => /RegisterAck/.test(line)), "RegisterAck");
  await using victim = await Packets.watch(lab, "relay");
  await using _ = meeting.start("a", ["connect", "mallory"], "anna");
  assertBounded(await attackOn(victim));
});

natTest("an asker that lies about its addresses cannot flood others", HOMES, async (lab) => {
  // Ports of such a side are guessed.
  await using meeting = await Meeting.open(lab);
  await using victim = await Packets.watch(lab, "relay");
  await using _ = lie(lab, meeting, ["ask", "bella"], "dependent");
  assertBounded(await attackOn(victim));
});
