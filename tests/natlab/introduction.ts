/** How long two peers take from their introduction to the first byte that goes straight. */
import type { Meeting } from "../fakes/meeting.ts";
import type { NatLab } from "../fakes/nat_lab.ts";
import { type Packet, Packets } from "../fakes/packets.ts";
import { untilPath } from "../fakes/meeting.ts";

const RELAY_SITE = "198.51.100.2";
const SYN = 2;

/** Milliseconds. */
export interface Introduction {
  /** From the relay's PeerInfo at the asker to the first byte of a stream at the target. */
  firstByte: number;
  /** A round trip from the asker to the relay, which is as far as the target. */
  roundTrip: number;
}

/** Has `a` ask once, and looks at the packets; resolves when `b` is ready for the next. */
export async function timeIntroduction(lab: NatLab, meeting: Meeting): Promise<Introduction> {
  await using near = await Packets.watch(lab, "a");
  await using far = await Packets.watch(lab, "b");
  await using asker = meeting.ask();
  await untilPath(asker, ["punched"]);
  const introduced = peerInfo(near.seen);
  const first = await far.until(
    (packet) => !packet.out && isStreamData(packet) && packet.at > introduced,
    "stream data over the punched path",
  );
  await far.until(
    (packet) => packet.at > introduced && isStunAnswer(packet),
    "the target's next port, as STUN sees it",
  );
  return { firstByte: first.at - introduced, roundTrip: roundTrip(near.seen) };
}

/** Of the relay's second STUN port, which is asked last. */
function isStunAnswer({ out, protocol, source, first }: Packet): boolean {
  return !out && protocol === "udp" && source.startsWith(RELAY_SITE) && first === 0x01 &&
    !source.endsWith(":8080");
}

/** When the relay introduced them: its last words before the asker's first probe. */
function peerInfo(packets: Packet[]): number {
  const probe = packets.find((packet) => packet.out && packet.first === 0x11)!;
  return packets.findLast(({ at, out, protocol, length }) => {
    return !out && protocol === "tcp" && length > 0 && at < probe.at;
  })!.at;
}

/** QUIC's packets with a short header (RFC 9000, 17.3), which carry streams, begin with 01. */
function isStreamData({ protocol, first }: Packet): boolean {
  return protocol === "udp" && (first & 0xc0) === 0x40;
}

function roundTrip(packets: Packet[]): number {
  const asked = packets.find(({ out, flags, target }) => {
    return out && (flags & SYN) !== 0 && target.startsWith(RELAY_SITE);
  })!;
  const answered = packets.find(({ out, flags, target }) => {
    return !out && (flags & SYN) !== 0 && target === asked.source;
  })!;
  return answered.at - asked.at;
}
