import { assert, assertEquals } from "@std/assert";
import { ResetCode } from "../../protocol/connection.ts";
import * as limits from "../../protocol/limits.ts";
import { FrameType, GoodbyeCode, SESSION_ID_BYTES } from "../../protocol/session_frame.ts";

/** What README.md of protocol/ fixes: another implementation relies on it. */
const specified: [keyof typeof limits, number][] = [
  ["MAX_PREFACE_BYTES", 256],
  ["MAX_FRAME_BYTES", 65_535],
  ["MAX_HANDSHAKE_BYTES", 4_096],
  ["TAG_BYTES", 16],
  ["MAX_RECORD_BYTES", 65_519],
  ["MAX_CERTIFICATE_BYTES", 2_048],
  ["MAX_TLS_CONNECTIONS", 3],
  ["MAX_EMPTY_RECORDS", 16],
  ["SESSION_HEADER_BYTES", 7],
  ["MAX_PAYLOAD_BYTES", 65_512],
  ["INITIAL_WINDOW_BYTES", 262_144],
  ["MAX_WINDOW_BYTES", 16_777_216],
  ["MAX_EXTRA_WINDOW_BYTES", 33_554_432],
  ["MAX_STREAMS", 128],
  ["MAX_KIND_BYTES", 64],
  ["MAX_NAME_BYTES", 64],
  ["MAX_REASON_BYTES", 512],
  ["ACK_BYTES", 131_072],
  ["ACK_DELAY_MS", 20],
  ["MESSAGE_HEADER_BYTES", 5],
  ["MAX_CHAT_BYTES", 16_777_216],
  ["MAX_PLAIN_LINE_BYTES", 1_048_576],
  ["MAX_PLAIN_MESH_BYTES", 65_536],
  ["MAX_PLAIN_NODES", 64],
  ["MAX_PLAIN_NODE_ID_UNITS", 64],
  ["MAX_ENTRIES_BYTES", 262_144],
  ["MAX_OFFER_BYTES", 33_554_432],
  ["MAX_HAVE_BYTES", 65_536],
  ["MAX_FILE_DATA_BYTES", 1_048_576],
  ["RESUME_BLOCK_BYTES", 1_048_576],
  ["MAX_ENTRIES", 200_000],
  ["MAX_PATH_PARTS", 64],
  ["MAX_PART_BYTES", 255],
  ["MAX_PATH_BYTES", 4_096],
  ["MAX_RENDEZVOUS_BYTES", 4_096],
  ["MAX_DATAGRAM_BYTES", 1_200],
  ["MAX_CANDIDATES", 16],
  ["MAX_SEEN", 8],
  ["PUNCH_SECRET_BYTES", 16],
  ["RELAY_PING_MS", 15_000],
  ["RELAY_DEAD_MS", 40_000],
  ["NAME_GRACE_MS", 15_000],
  ["TOKEN_LIFE_MS", 60_000],
  ["CIRCUIT_WAIT_MS", 30_000],
  ["MAX_SEQUENTIAL_STEP", 10],
  ["PREDICTED_PORTS", 16],
  ["OPENER_TTL", 5],
  ["PROBE_MS", 50],
  ["SLOW_PROBE_MS", 250],
  ["SLOW_PROBE_AFTER_MS", 1_000],
  ["SPRAY_AFTER_MS", 750],
  ["SPRAY_MS", 10],
  ["SPREAD_SOCKETS", 256],
  ["PUNCH_TIMEOUT_MS", 2_500],
  ["LONG_PUNCH_TIMEOUT_MS", 20_000],
  ["NOMINATIONS", 3],
  ["NOMINATE_WAIT_MS", 1_000],
  ["MAX_PUNCH_RATE", 100],
  ["MAX_UNPROVEN", 40],
  ["MAX_REFLEXIVE", 16],
  ["MAX_ANNOUNCEMENT_BYTES", 1_200],
  ["MAX_MULTICAST_BYTES", 1_472],
  ["MAX_DNS_RECORDS", 64],
  ["MAX_DNS_JUMPS", 16],
  ["MAX_ANNOUNCED_ADDRESSES", 8],
  ["ANNOUNCEMENT_LIFE_S", 120],
  ["ANNOUNCEMENT_GAP_MS", 1_000],
  ["MIN_ANSWER_DELAY_MS", 20],
  ["MAX_ANSWER_DELAY_MS", 120],
  ["QUERY_MS", 1_000],
  ["MAX_QUERY_MS", 60_000],
  ["MAX_NEARBY", 256],
  ["MAX_NEARBY_PER_SOURCE", 16],
  ["LOOK_MS", 1_500],
  ["RIVALS_MS", 500],
  ["HANDSHAKE_TIMEOUT_MS", 10_000],
  ["PING_AFTER_MS", 8_000],
  ["DEAD_AFTER_MS", 20_000],
  ["FLUSH_TIMEOUT_MS", 5_000],
  ["GOODBYE_TIMEOUT_MS", 1_000],
];

for (const [name, value] of specified) {
  Deno.test(`${name} is ${value}, as specified`, () => assertEquals(limits[name], value));
}

Deno.test("a session is kept without a connection for at least a minute", () => {
  assert(limits.SESSION_HOLD_MS >= 60_000);
});

Deno.test("the numbers of frames, goodbyes and resets are those of the specification", () => {
  assertEquals(FrameType, {
    open: 0x01,
    data: 0x02,
    finish: 0x03,
    reset: 0x04,
    window: 0x05,
    hello: 0x10,
    ack: 0x11,
    ping: 0x12,
    pong: 0x13,
    goodbye: 0x14,
  });
  assertEquals(GoodbyeCode, {
    done: 0,
    interrupted: 1,
    protocolError: 2,
    unknownSession: 3,
    identityRefused: 4,
    busy: 5,
    sentAway: 6,
  });
  assertEquals(ResetCode, { cancelled: 0, unwanted: 1, failed: 2 });
  assertEquals(SESSION_ID_BYTES, 16);
});
