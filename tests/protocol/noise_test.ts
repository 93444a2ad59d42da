import { assert, assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { concatBytes } from "../../protocol/bytes.ts";
import { ProtocolError } from "../../protocol/errors.ts";
import { MAX_FRAME_BYTES, MAX_RECORD_BYTES, TAG_BYTES } from "../../protocol/limits.ts";
import {
  CipherState,
  generateKeyPair,
  type HandshakeOptions,
  type HandshakeResult,
  HandshakeState,
  type KeyPair,
  keyPairOf,
} from "../../protocol/noise.ts";
import published from "../vectors/noise.json" with { type: "json" };

const protocolName = "Noise_XX_25519_ChaChaPoly_SHA256";
const prologue = new TextEncoder().encode("p2p/1 session\n");

interface Vector {
  protocol_name: string;
  init_prologue: string;
  init_static?: string;
  init_ephemeral: string;
  init_remote_static?: string;
  init_psks?: string[];
  resp_prologue: string;
  resp_static?: string;
  resp_ephemeral: string;
  resp_psks?: string[];
  handshake_hash: string;
  messages: { payload: string; ciphertext: string }[];
}

/** One side of a vector's handshake. */
function vectorSide(vector: Vector, side: "init" | "resp"): HandshakeState {
  const staticKey = vector[`${side}_static`];
  const psk = vector[`${side}_psks`]?.[0];
  const known = side === "init" ? vector.init_remote_static : undefined;
  return new HandshakeState({
    protocolName: vector.protocol_name,
    initiator: side === "init",
    prologue: Uint8Array.fromHex(vector[`${side}_prologue`]),
    ephemeralPrivateKey: Uint8Array.fromHex(vector[`${side}_ephemeral`]),
    ...(staticKey && { staticKey: keyPairOf(Uint8Array.fromHex(staticKey)) }),
    ...(psk && { psk: Uint8Array.fromHex(psk) }),
    ...(known && { remoteStaticKey: Uint8Array.fromHex(known) }),
  });
}

/**
 * Plays a vector's handshake messages and compares each; returns both ends and what is left to
 * play.
 */
function playHandshake(vector: Vector) {
  const sides = [vectorSide(vector, "init"), vectorSide(vector, "resp")] as const;
  let count = 0;
  while (!sides[0].complete) {
    const { payload, ciphertext } = vector.messages[count]!;
    const sent = sides[count % 2]!.writeMessage(Uint8Array.fromHex(payload));
    assertEquals(sent.toHex(), ciphertext);
    assertEquals(sides[(count + 1) % 2]!.readMessage(sent).toHex(), payload);
    count++;
  }
  return { ends: sides.map((side) => side.split()), rest: vector.messages.slice(count), count };
}

for (const vector of published.vectors as Vector[]) {
  Deno.test(`HandshakeState gives the published bytes of ${vector.protocol_name}`, () => {
    const { ends, rest, count } = playHandshake(vector);
    for (const end of ends) assertEquals(end.handshakeHash.toHex(), vector.handshake_hash);
    assert(rest.length >= 3);
    rest.forEach(({ payload, ciphertext }, index) => {
      const sender = (count + index) % 2;
      const record = seal(ends[sender]!.send, [Uint8Array.fromHex(payload)]);
      assertEquals(record.toHex(), ciphertext);
      assertEquals(ends[1 - sender]!.receive.open(record).toHex(), payload);
    });
  });
}

Deno.test("the vectors cover each pattern that is built", () => {
  assertEquals(published.vectors.map(({ protocol_name }) => protocol_name.split("_")[1]), [
    "IK",
    "XX",
    "NNpsk0",
    "XXpsk3",
    "IKpsk2",
  ]);
});

/** The record of the parts. */
function seal(cipher: CipherState, parts: Uint8Array[]): Uint8Array {
  const into = new Uint8Array(MAX_FRAME_BYTES);
  return into.slice(0, cipher.seal(parts, into, 0));
}

interface Pair {
  initiator: HandshakeState;
  responder: HandshakeState;
  keys: [initiator: KeyPair, responder: KeyPair];
}

function makePair(
  initiatorOptions: Partial<HandshakeOptions> = {},
  responderOptions: Partial<HandshakeOptions> = initiatorOptions,
): Pair {
  const keys: Pair["keys"] = [generateKeyPair(), generateKeyPair()];
  const side = (initiator: boolean, staticKey: KeyPair, options: Partial<HandshakeOptions>) =>
    new HandshakeState({ protocolName, initiator, prologue, staticKey, ...options });
  return {
    initiator: side(true, keys[0], initiatorOptions),
    responder: side(false, keys[1], responderOptions),
    keys,
  };
}

/** Exchanges the messages before the one at `count`; returns that one, and who is to read it. */
function runUpTo(pair: Pair, count: number): { reader: HandshakeState; message: Uint8Array } {
  for (let index = 0;; index++) {
    const [writer, reader] = index % 2 === 0
      ? [pair.initiator, pair.responder]
      : [pair.responder, pair.initiator];
    const message = writer.writeMessage();
    if (index === count) return { reader, message };
    reader.readMessage(message);
  }
}

function complete(pair: Pair): [initiator: HandshakeResult, responder: HandshakeResult] {
  const { reader, message } = runUpTo(pair, 2);
  reader.readMessage(message);
  return [pair.initiator.split(), pair.responder.split()];
}

Deno.test("HandshakeState agrees on keys and identities, with messages as long as specified", () => {
  const pair = makePair();
  const lengths = [0, 1, 2].map((count) => runUpTo(makePair(), count).message.length);
  assertEquals(lengths, [32, 96, 64]);
  const [initiator, responder] = complete(pair);
  assertEquals(initiator.remoteStaticKey, pair.keys[1].publicKey);
  assertEquals(responder.remoteStaticKey, pair.keys[0].publicKey);
  assertEquals(initiator.handshakeHash, responder.handshakeHash);
  const text = Uint8Array.of(1, 2, 3);
  assertEquals(responder.receive.open(seal(initiator.send, [text])), text);
  assertEquals(initiator.receive.open(seal(responder.send, [text])), text);
});

Deno.test("HandshakeState tells the responder's identity before the initiator answers", () => {
  const pair = makePair();
  const { reader, message } = runUpTo(pair, 1);
  assertEquals(reader.remoteStaticKey, undefined);
  reader.readMessage(message);
  assertEquals(reader.remoteStaticKey, pair.keys[1].publicKey);
  assertEquals(reader.complete, false);
});

Deno.test("HandshakeState makes other keys each time", () => {
  const staticKey = generateKeyPair();
  const hashes = [0, 1].map(() => complete(makePair({ staticKey }))[0].handshakeHash.toHex());
  assertNotEquals(hashes[0], hashes[1]);
});

Deno.test("HandshakeState clears no key that is the caller's", () => {
  const psk = new Uint8Array(32).fill(7);
  const ephemeralPrivateKey = new Uint8Array(32).fill(8);
  const options = { protocolName: "Noise_XXpsk3_25519_ChaChaPoly_SHA256", psk };
  const pair = makePair({ ...options, ephemeralPrivateKey }, options);
  const before = pair.keys.map(({ privateKey }) => privateKey.toHex());
  complete(pair);
  assertEquals(pair.keys.map(({ privateKey }) => privateKey.toHex()), before);
  assertEquals(psk, new Uint8Array(32).fill(7));
  assertEquals(ephemeralPrivateKey, new Uint8Array(32).fill(8));
});

// A flipped byte of message 1 can only come out when message 2 does not fit it.
for (const [count, length] of [[1, 96], [2, 64]] as const) {
  Deno.test(`HandshakeState.readMessage() rejects message ${count + 1} with any one byte altered`, () => {
    for (let index = 0; index < length; index++) {
      const { reader, message } = runUpTo(makePair(), count);
      message[index]! ^= 1;
      assertThrows(() => reader.readMessage(message), ProtocolError, "Handshake not authentic");
      assertThrows(() => reader.readMessage(message), Error, "it is over");
      assertThrows(() => reader.writeMessage(), Error, "it is over");
      assertThrows(() => reader.split(), Error, "not complete");
    }
  });
}

Deno.test("HandshakeState.readMessage() rejects an answer to message 1 with any one byte altered", () => {
  for (let index = 0; index < 32; index++) {
    const pair = makePair();
    const message = pair.initiator.writeMessage();
    // The highest bit of a key's last byte means nothing to X25519, but is part of the hash.
    message[index]! ^= index === 31 ? 0x80 : 1;
    pair.responder.readMessage(message);
    const answer = pair.responder.writeMessage();
    assertThrows(() => pair.initiator.readMessage(answer), ProtocolError, "not authentic");
  }
});

Deno.test("HandshakeState.readMessage() rejects another prologue", () => {
  const other = new TextEncoder().encode("p2p/2 session\n");
  const { reader, message } = runUpTo(makePair({}, { prologue: other }), 1);
  assertThrows(() => reader.readMessage(message), ProtocolError, "Handshake not authentic");
});

Deno.test("HandshakeState.readMessage() rejects another pre-shared key", () => {
  const name = "Noise_XXpsk3_25519_ChaChaPoly_SHA256";
  const pair = makePair(
    { protocolName: name, psk: new Uint8Array(32).fill(1) },
    { protocolName: name, psk: new Uint8Array(32).fill(2) },
  );
  const { reader, message } = runUpTo(pair, 2);
  assertThrows(() => reader.readMessage(message), ProtocolError, "Handshake not authentic");
});

Deno.test("HandshakeState.readMessage() rejects a message cut short anywhere", () => {
  for (const [count, length] of [[0, 32], [1, 96], [2, 64]] as const) {
    for (let kept = 0; kept < length; kept++) {
      const { reader, message } = runUpTo(makePair(), count);
      assertThrows(() => reader.readMessage(message.subarray(0, kept)), ProtocolError);
      assertThrows(() => reader.readMessage(message), Error, "it is over");
    }
  }
});

Deno.test("HandshakeState takes messages of 65,535 bytes and none longer", () => {
  const pair = makePair();
  const longest = new Uint8Array(MAX_FRAME_BYTES - 32);
  const message = pair.initiator.writeMessage(longest);
  assertEquals(message.length, MAX_FRAME_BYTES);
  assertEquals(pair.responder.readMessage(message), longest);

  const other = makePair();
  const tooLong = concatBytes(message, Uint8Array.of(0));
  assertThrows(() => other.responder.readMessage(tooLong), ProtocolError, "it is too long");
  assertThrows(
    () => other.initiator.writeMessage(new Uint8Array(MAX_FRAME_BYTES - 31)),
    RangeError,
  );
  assertThrows(() => other.initiator.writeMessage(), Error, "it is over");
});

Deno.test("HandshakeState refuses what is not its turn, and to split too early", () => {
  const { initiator, responder } = makePair();
  assertThrows(() => responder.writeMessage(), Error, "other side's turn");
  assertThrows(() => initiator.readMessage(new Uint8Array(32)), Error, "other side's turn");
  assertThrows(() => initiator.split(), Error, "not complete");
});

Deno.test("HandshakeState splits once", () => {
  const pair = makePair();
  complete(pair);
  assertThrows(() => pair.initiator.split(), Error, "not complete");
  assertThrows(() => pair.responder.writeMessage(), Error, "it is over");
});

Deno.test("HandshakeState gives no payload that shares memory with the message", () => {
  const { initiator, responder } = makePair();
  const message = initiator.writeMessage(Uint8Array.of(5));
  const payload = responder.readMessage(message);
  message.fill(0);
  assertEquals(payload, Uint8Array.of(5));
});

Deno.test("HandshakeState refuses to begin without the keys that it needs", () => {
  const begin = (options: Partial<HandshakeOptions>) => () =>
    new HandshakeState({ protocolName, initiator: true, prologue, ...options });
  const staticKey = generateKeyPair();
  assertThrows(begin({}), RangeError, "own static key");
  assertThrows(
    begin({ protocolName: "Noise_XXpsk3_25519_ChaChaPoly_SHA256", staticKey }),
    RangeError,
    "pre-shared",
  );
  const ik = { protocolName: "Noise_IK_25519_ChaChaPoly_SHA256" };
  assertThrows(begin({ ...ik, staticKey }), RangeError, "other side's static key");
  assertThrows(begin({ ...ik, initiator: false }), RangeError, "own static key");
});

Deno.test("HandshakeState refuses protocols that are not built", () => {
  const names = [
    "XX_25519_AESGCM_SHA256",
    "XX_448_ChaChaPoly_SHA256",
    "KK_25519_ChaChaPoly_SHA256",
  ];
  for (
    const name of [
      ...names,
      "XXpsk4_25519_ChaChaPoly_SHA256",
      "constructor_25519_ChaChaPoly_SHA256",
    ]
  ) {
    const options = { protocolName: `Noise_${name}`, initiator: true, prologue };
    assertThrows(() => new HandshakeState(options), RangeError, "is not built here");
  }
});

// All u-coordinates of low order below 2^255; the last two are 0 and 1 again (cr.yp.to/ecdh.html).
const lowOrderKeys = [
  "0000000000000000000000000000000000000000000000000000000000000000",
  "0100000000000000000000000000000000000000000000000000000000000000",
  "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
  "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
  "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
];

Deno.test("HandshakeState rejects keys of low order, which anybody could compute with", () => {
  for (const key of lowOrderKeys) {
    const { responder } = makePair();
    responder.readMessage(Uint8Array.fromHex(key));
    assertThrows(() => responder.writeMessage(), ProtocolError, "low order");
    assertThrows(() => responder.writeMessage(), Error, "it is over");
  }
});

Deno.test("keyPairOf() gives the public keys of RFC 7748, section 6.1", () => {
  const publicKeyOf = (hex: string) => keyPairOf(Uint8Array.fromHex(hex)).publicKey.toHex();
  assertEquals(
    publicKeyOf("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a"),
    "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a",
  );
  assertEquals(
    publicKeyOf("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb"),
    "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f",
  );
});

Deno.test("keyPairOf() rejects keys of another length", () => {
  for (const length of [0, 31, 33]) {
    assertThrows(() => keyPairOf(new Uint8Array(length)), RangeError, `${length} bytes`);
  }
});

const key = new Uint8Array(32).fill(9);

/** Two ends of one direction. */
function cipherPair(counter = 0n): [sender: CipherState, receiver: CipherState] {
  return [new CipherState(key, counter), new CipherState(key, counter)];
}

Deno.test("CipherState.seal() gives the same record however the plaintext is divided", () => {
  const parts = fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 8 });
  fc.assert(fc.property(parts, fc.nat(50), (parts, offset) => {
    const [sender, receiver] = cipherPair();
    const whole = concatBytes(...parts);
    const expected = seal(new CipherState(key), [whole]);
    const into = new Uint8Array(offset + whole.length + TAG_BYTES + 3).fill(0xee);
    assertEquals(sender.seal(parts, into, offset), whole.length + TAG_BYTES);
    assertEquals(into.slice(offset, -3), expected);
    assert([...into.subarray(0, offset), ...into.subarray(-3)].every((byte) => byte === 0xee));
    assertEquals(receiver.open(expected), whole);
  }));
});

Deno.test("CipherState.seal() takes the longest record and no longer one", () => {
  const [sender, receiver] = cipherPair();
  const parts = [new Uint8Array(7).fill(1), new Uint8Array(MAX_RECORD_BYTES - 7).fill(2)];
  const record = seal(sender, parts);
  assertEquals(record.length, MAX_FRAME_BYTES);
  assertEquals(receiver.open(record), concatBytes(...parts));
  assertThrows(() => seal(sender, [...parts, Uint8Array.of(0)]), RangeError, "65520 bytes");
});

Deno.test("CipherState.seal() rejects a target that is too short, and is none the worse", () => {
  const [sender, receiver] = cipherPair();
  const into = new Uint8Array(30);
  assertThrows(() => sender.seal([new Uint8Array(10)], into, 5), RangeError, "25 bytes of room");
  assertEquals(into, new Uint8Array(30));
  assertEquals(sender.seal([new Uint8Array(10)], into, 4), 26);
  assertEquals(receiver.open(into.subarray(4)), new Uint8Array(10));
});

Deno.test("CipherState.open() gives plaintext that is the caller's alone", () => {
  const [sender, receiver] = cipherPair();
  const records = [1, 2].map((value) => seal(sender, [new Uint8Array(64).fill(value)]));
  const [first, second] = records.map((record) => receiver.open(record));
  records[0]!.fill(0);
  second!.fill(0);
  assertEquals(first, new Uint8Array(64).fill(1));
  assertNotEquals(first!.buffer, second!.buffer);
  first!.slice(0, 1)[0] = 7;
  assertEquals(first![0], 1);
});

Deno.test("CipherState.open() rejects a record with any one byte altered, then everything", () => {
  const length = 20 + TAG_BYTES;
  for (let index = 0; index < length; index++) {
    const [sender, receiver] = cipherPair();
    const record = seal(sender, [new Uint8Array(20)]);
    const next = seal(sender, [new Uint8Array(20)]);
    record[index]! ^= 0x10;
    assertThrows(
      () => receiver.open(record),
      ProtocolError,
      "Record not authentic: it was altered",
    );
    record[index]! ^= 0x10;
    assertThrows(() => receiver.open(record), ProtocolError, "it was closed");
    assertThrows(() => receiver.open(next), ProtocolError, "it was closed");
  }
});

Deno.test("CipherState.open() rejects a record that is repeated, left out or moved", () => {
  const makeRecords = () => {
    const [sender, receiver] = cipherPair();
    const records = [1, 2, 3].map((value) => seal(sender, [Uint8Array.of(value)]));
    assertEquals(receiver.open(records[0]!), Uint8Array.of(1));
    return { receiver, records };
  };
  for (const wrong of [0, 2]) {
    const { receiver, records } = makeRecords();
    assertThrows(() => receiver.open(records[wrong]!), ProtocolError, "Record not authentic");
  }
  const { receiver, records } = makeRecords();
  assertEquals(receiver.open(records[1]!), Uint8Array.of(2));
});

Deno.test("CipherState.open() rejects a record of the other direction", () => {
  const [initiator, responder] = complete(makePair());
  const record = seal(initiator.send, [Uint8Array.of(1)]);
  assertThrows(() => initiator.receive.open(record), ProtocolError, "Record not authentic");
  assertEquals(responder.receive.open(record), Uint8Array.of(1));
});

Deno.test("CipherState.open() rejects records too short for a tag and too long for Noise", () => {
  for (const length of [0, 1, 15]) {
    const [, receiver] = cipherPair();
    assertThrows(() => receiver.open(new Uint8Array(length)), ProtocolError, "too short");
    assertThrows(() => receiver.open(new Uint8Array(16)), ProtocolError, "it was closed");
  }
  const [, receiver] = cipherPair();
  assertThrows(() => receiver.open(new Uint8Array(MAX_FRAME_BYTES + 1)), ProtocolError, "too long");
});

Deno.test("CipherState seals and opens an empty record", () => {
  const [sender, receiver] = cipherPair();
  const record = seal(sender, []);
  assertEquals(record.length, TAG_BYTES);
  assertEquals(receiver.open(record), new Uint8Array(0));
});

Deno.test("CipherState counts on across 32 bits", () => {
  const [sender, receiver] = cipherPair(2n ** 32n - 2n);
  const records = [1, 2, 3, 4].map((value) => seal(sender, [Uint8Array.of(value)]));
  records.forEach((record, index) => assertEquals(receiver.open(record), Uint8Array.of(index + 1)));
  const third = seal(new CipherState(key, 2n ** 32n), [Uint8Array.of(3)]);
  assertEquals(records[2], third);
  assertEquals(new Set(records.map((record) => record.toHex().slice(2))).size, 4);
});

Deno.test("CipherState refuses the counter 2^64 - 1 rather than begin anew", () => {
  const [sender, receiver] = cipherPair(2n ** 64n - 2n);
  const last = seal(sender, [Uint8Array.of(1)]);
  assertEquals(receiver.open(last), Uint8Array.of(1));
  for (let attempt = 0; attempt < 2; attempt++) {
    assertThrows(() => seal(sender, []), ProtocolError, "all the records it may");
    assertThrows(() => receiver.open(last), ProtocolError, "all the records it may");
  }
});

Deno.test("CipherState refuses to work after clear(), and leaves the caller's key alone", () => {
  const [sender, receiver] = cipherPair();
  const record = seal(sender, [Uint8Array.of(1)]);
  for (const cipher of [sender, receiver]) {
    cipher.clear();
    cipher.clear();
  }
  assertThrows(() => seal(sender, []), ProtocolError, "it was closed");
  assertThrows(() => receiver.open(record), ProtocolError, "it was closed");
  assertEquals(key, new Uint8Array(32).fill(9));
});
