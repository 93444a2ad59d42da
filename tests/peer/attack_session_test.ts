/** What a peer does to a session to make this side fail, not itself. */
import { assertEquals, assertInstanceOf } from "@std/assert";
import { encodeText } from "../../protocol/bytes.ts";
import { ResetCode } from "../../protocol/connection.ts";
import { ProtocolError } from "../../protocol/errors.ts";
import { MAX_OPENS_PER_SECOND } from "../../protocol/limits.ts";
import { FrameType } from "../../protocol/session_frame.ts";
import { settled } from "../fakes/clock.ts";
import { RawPeer } from "../fakes/session_pair.ts";

/** More than a session keeps unacknowledged, and lets wait to be sent. */
const STREAMS = 80_000;

Deno.test("A peer that has streams refused and never acknowledges ends the session, and no refusal fails", async () => {
  const peer = await RawPeer.greeted();
  const drained = peer.drain();
  const refusing = (async () => {
    for (let stream; (stream = await peer.session.accept());) stream.reset(ResetCode.unwanted);
  })();
  for (let i = 0; i < STREAMS && peer.session.state !== "ended"; i++) {
    peer.clock.holdUp(1_000 / MAX_OPENS_PER_SECOND);
    await peer.send(FrameType.open, 2 * i + 1, encodeText("x/1")).catch(() => {});
    if (i % 64 === 0) await settled();
  }
  assertEquals(peer.session.state, "ended");
  await peer.clock.advance(10_000);
  const { error } = await peer.session.ended;
  assertInstanceOf(error, ProtocolError);
  assertEquals(error?.message, "Session ended: the other side asks and does not read");
  await refusing;
  peer.connection.close();
  await drained;
});
