/**
 * The datagrams with which two introduced peers open a way through their NATs (README.md, section
 * 12). Only who has the introduction's secret can make them, and none is good for its sender.
 *
 *     offset  size
 *     0       1     type: 0x11 PROBE, 0x12 ANSWER, 0x13 NOMINATE
 *     1       1     sender: 0 the asker, 1 the target
 *     2       8     the first bytes of SHA-256(secret)
 *     10      8     PROBE, NOMINATE: random, new for each; ANSWER: the PROBE's
 *     18      16    the first bytes of HMAC-SHA-256(secret, bytes 0 to 17)
 */
import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import { ByteWriter, equalBytes } from "./bytes.ts";

/** Bytes in a packet. */
export const PUNCH_PACKET_BYTES = 34;
/** Bytes in what makes a PROBE one of its kind. */
export const PUNCH_NONCE_BYTES = 8;
/** Bytes that are authenticated. */
const SIGNED_BYTES = 18;
const ID_OFFSET = 2;
const ID_BYTES = 8;
const NONCE_OFFSET = ID_OFFSET + ID_BYTES;
const MAC_BYTES = PUNCH_PACKET_BYTES - SIGNED_BYTES;

/** The values are on the wire. */
const PunchType = { probe: 0x11, answer: 0x12, nominate: 0x13 } as const;
/** The values are on the wire. */
const PunchSender = { asker: 0, target: 1 } as const;
export type PunchRole = keyof typeof PunchSender;

export interface PunchPacket {
  readonly type: keyof typeof PunchType;
  /** 8 bytes, the receiver's own. */
  readonly nonce: Uint8Array;
}

const NAMES: ReadonlyMap<number, PunchPacket["type"]> = new Map([
  [PunchType.probe, "probe"],
  [PunchType.answer, "answer"],
  [PunchType.nominate, "nominate"],
]);

/** Writes and reads one side's packets. */
export class PunchCodec {
  readonly #secret: Uint8Array;
  readonly #id: Uint8Array;
  readonly #sender: number;
  readonly #other: number;

  /** @param secret the introduction's, 16 bytes */
  constructor(secret: Uint8Array, role: PunchRole) {
    this.#secret = secret.slice();
    this.#id = sha256(secret).subarray(0, ID_BYTES);
    this.#sender = PunchSender[role];
    this.#other = PunchSender[role === "asker" ? "target" : "asker"];
  }

  probe(nonce: Uint8Array): Uint8Array<ArrayBuffer> {
    return this.#encode(PunchType.probe, nonce);
  }

  /** @param nonce the PROBE's */
  answer(nonce: Uint8Array): Uint8Array<ArrayBuffer> {
    return this.#encode(PunchType.answer, nonce);
  }

  nominate(nonce: Uint8Array): Uint8Array<ArrayBuffer> {
    return this.#encode(PunchType.nominate, nonce);
  }

  /**
   * What the other side has sent; undefined for all that is not from it. What is not meant for this
   * introduction is told by its look, before anything is computed.
   */
  decode(bytes: Uint8Array): PunchPacket | undefined {
    if (bytes.length !== PUNCH_PACKET_BYTES || bytes[1] !== this.#other) return undefined;
    const type = NAMES.get(bytes[0]!);
    if (!type || !equalBytes(bytes.subarray(ID_OFFSET, NONCE_OFFSET), this.#id)) return undefined;
    const mac = this.#mac(bytes.subarray(0, SIGNED_BYTES));
    if (!timingSafeEqual(mac, bytes.subarray(SIGNED_BYTES))) return undefined;
    return { type, nonce: bytes.slice(NONCE_OFFSET, SIGNED_BYTES) };
  }

  #encode(type: number, nonce: Uint8Array): Uint8Array<ArrayBuffer> {
    const packet = new ByteWriter(PUNCH_PACKET_BYTES).u8(type).u8(this.#sender).bytes(this.#id)
      .bytes(nonce);
    return packet.bytes(this.#mac(packet.finish())).finish();
  }

  #mac(signed: Uint8Array): Uint8Array {
    return createHmac("sha256", this.#secret).update(signed).digest().subarray(0, MAC_BYTES);
  }
}

function sha256(bytes: Uint8Array): Uint8Array {
  return createHash("sha256").update(bytes).digest();
}
