/** By name between machines behind routers: files straight where one can be reached, else relayed. */
import { assert, assertEquals } from "@std/assert";
import { Meeting, pathsOf, untilPath } from "../fakes/meeting.ts";
import { natTest } from "../fakes/nat_lab.ts";

/** Milliseconds in which whoever asks by name must be connected. */
const CONNECTED_WITHIN_MS = 2_000;

for (
  const [a, b, path] of [
    ["symmetric", "symmetric", "relayed"],
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
  "by name over a slow line that loses packets: straight all the same",
  ["port-restricted", "port-restricted", "--delay", "40", "--loss", "5"],
  async (lab) => {
    await using meeting = await Meeting.open(lab);
    await using chat = meeting.ask();
    await untilPath(chat, ["punched"]);
    await chat.write("can you hear me?\n");
    assertEquals((await meeting.listener.until("message")).text, "can you hear me?");
  },
);

natTest(
  "by name: a file that began through the relay goes straight as soon as that can be",
  ["none", "none", "--rate", "40"],
  async (lab) => {
    await using meeting = await Meeting.open(lab);
    await lab.cut();
    await meeting.makeFilm();
    await using sender = meeting.startFilm();
    await sender.until("progress");
    await lab.mend();
    await meeting.filmSent(sender);
    for (const side of [sender, meeting.listener]) {
      const [first, ...later] = pathsOf(side);
      assertEquals(first, "connected relayed");
      assert(["path direct", "path punched"].includes(later[0]!), later.join());
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
    await lab.cut();
    await meeting.filmSent(sender);
    for (const side of [sender, meeting.listener]) {
      assertEquals(pathsOf(side), ["connected direct", "away", "back relayed", "path relayed"]);
    }
  },
);
