/** By name between machines behind routers: straight where one can be reached, else relayed. */
import { assert, assertEquals } from "@std/assert";
import { Meeting, pathsOf } from "../fakes/meeting.ts";
import { type NatLab, natTest } from "../fakes/nat_lab.ts";

/** Where the listener takes connections. */
const LISTENER_PORT = 8080;
/** Milliseconds in which whoever asks by name must be connected. */
const CONNECTED_WITHIN_MS = 2_000;

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
    await meeting.makeFilm();
    const started = performance.now();
    await using sender = meeting.startFilm();
    assertEquals((await sender.until("connected")).path, path);
    const milliseconds = performance.now() - started;
    assert(milliseconds < CONNECTED_WITHIN_MS, `connected after ${milliseconds} ms`);
    await meeting.filmSent(sender);
  });
}

natTest(
  "by name over a slow line that loses packets: relayed",
  ["port-restricted", "port-restricted", "--delay", "40", "--loss", "5"],
  async (lab) => {
    await using meeting = await Meeting.open(lab);
    await using chat = meeting.ask();
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
    await meeting.filmSent(sender);
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
    await meeting.filmSent(sender);
    for (const side of [sender, meeting.listener]) {
      assertEquals(pathsOf(side), ["connected direct", "away", "back relayed", "path relayed"]);
    }
  },
);
