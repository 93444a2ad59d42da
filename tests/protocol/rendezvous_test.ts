import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { decodeText, encodeText } from "../../protocol/bytes.ts";
import { ProtocolError } from "../../protocol/errors.ts";
import {
  MAX_CANDIDATES,
  MAX_DATAGRAM_BYTES,
  MAX_REASON_BYTES,
  MAX_RENDEZVOUS_BYTES,
  MAX_SEEN,
} from "../../protocol/limits.ts";
import { MAPPINGS } from "../../protocol/mapping.ts";
import {
  BARE,
  decodeRendezvous,
  encodeRendezvous,
  REFUSALS,
  type RendezvousMessage,
} from "../../protocol/rendezvous.ts";

const KEY = new Uint8Array(32).fill(7);
const KEY_TEXT = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";
const TOKEN = Uint8Array.fromHex("00112233445566778899aabbccddeeff");

/** A decoder's undefined fields are those that are not there. */
function decode(json: string): RendezvousMessage | undefined {
  const message = decodeRendezvous(encodeText(json));
  return message && Object.fromEntries(
    Object.entries(message).filter(([, value]) => value !== undefined),
  ) as RendezvousMessage;
}

/** What Peer-Punch says, byte for byte: its programs parse nothing else. */
const original: [string, RendezvousMessage][] = [
  ['{"Register":{"username":"alice"}}', { type: "Register", username: "alice" }],
  ['"RegisterAck"', { type: "RegisterAck" }],
  ['{"Connect":{"target_username":"bob"}}', { type: "Connect", targetUsername: "bob" }],
  ['{"PeerInfo":{"peer":"1.2.3.4:5678","username":"bob"}}', {
    type: "PeerInfo",
    peer: "1.2.3.4:5678",
    username: "bob",
  }],
  ['{"PeerInfo":{"peer":"[2001:db8::1]:5678","username":"bob"}}', {
    type: "PeerInfo",
    peer: "[2001:db8::1]:5678",
    username: "bob",
  }],
  ['"TargetNotFound"', { type: "TargetNotFound" }],
  ['"TargetBusy"', { type: "TargetBusy" }],
  ['"SessionFinished"', { type: "SessionFinished" }],
  ['{"DirectMessage":{"content":"hi"}}', { type: "DirectMessage", content: "hi" }],
  ['"Ping"', { type: "Ping" }],
  ['"Pong"', { type: "Pong" }],
  ['"Goodbye"', { type: "Goodbye" }],
];

const ours: [string, RendezvousMessage][] = [
  ['{"Hello":{}}', { type: "Hello" }],
  ['{"Hello":{"password":"open \\"sesame\\""}}', { type: "Hello", password: 'open "sesame"' }],
  ['{"Welcome":{"address":"203.0.113.7:40312"}}', {
    type: "Welcome",
    address: "203.0.113.7:40312",
  }],
  ['{"Register":{"username":"bob","address":"1.2.3.4:5","candidates":["192.168.1.20:8080"]}}', {
    type: "Register",
    username: "bob",
    address: "1.2.3.4:5",
    candidates: ["192.168.1.20:8080"],
  }],
  ['{"Connect":{"target_username":"bob","username":"anna","candidates":[]}}', {
    type: "Connect",
    targetUsername: "bob",
    username: "anna",
    candidates: [],
  }],
  [
    `{"PeerInfo":{"peer":"1.2.3.4:5","username":"b","key":"${KEY_TEXT}","candidates":["[::1]:9"],` +
    '"circuit":"00112233445566778899aabbccddeeff","initiator":true}}',
    {
      type: "PeerInfo",
      peer: "1.2.3.4:5",
      username: "b",
      key: KEY,
      candidates: ["[::1]:9"],
      circuit: TOKEN,
      initiator: true,
    },
  ],
  [
    '{"Register":{"username":"bob","candidates":[],"udp":["192.168.1.20:4000"],' +
    '"seen":["203.0.113.7:4000","203.0.113.7:4001"],"mapping":"sequential"}}',
    {
      type: "Register",
      username: "bob",
      candidates: [],
      udp: ["192.168.1.20:4000"],
      seen: ["203.0.113.7:4000", "203.0.113.7:4001"],
      mapping: "sequential",
    },
  ],
  [
    '{"Connect":{"target_username":"bob","username":"anna","candidates":[],"udp":["[fd00::2]:9"],' +
    '"seen":["[2001:db8::2]:9"],"mapping":"none","circuit":false}}',
    {
      type: "Connect",
      targetUsername: "bob",
      username: "anna",
      candidates: [],
      udp: ["[fd00::2]:9"],
      seen: ["[2001:db8::2]:9"],
      mapping: "none",
      circuit: false,
    },
  ],
  ['{"Connect":{"target_username":"bob","circuit":true}}', {
    type: "Connect",
    targetUsername: "bob",
    circuit: true,
  }],
  [
    `{"PeerInfo":{"peer":"1.2.3.4:5","username":"b","key":"${KEY_TEXT}","candidates":["[::1]:9"],` +
    '"udp":[],"seen":["1.2.3.4:6"],"mapping":"blocked",' +
    '"secret":"ffeeddccbbaa99887766554433221100",' +
    '"circuit":"00112233445566778899aabbccddeeff","initiator":false}}',
    {
      type: "PeerInfo",
      peer: "1.2.3.4:5",
      username: "b",
      key: KEY,
      candidates: ["[::1]:9"],
      udp: [],
      seen: ["1.2.3.4:6"],
      mapping: "blocked",
      secret: TOKEN.toReversed(),
      circuit: TOKEN,
      initiator: false,
    },
  ],
  ['{"Refused":{"code":"NameTaken","text":"taken"}}', {
    type: "Refused",
    code: "NameTaken",
    text: "taken",
  }],
];

for (const [json, message] of [...original, ...ours]) {
  Deno.test(`encodeRendezvous() and decodeRendezvous() agree with ${json.slice(0, 70)}`, () => {
    assertEquals(decodeText(encodeRendezvous(message)), json);
    assertEquals(decode(json), message);
  });
}

Deno.test("the bare messages and the codes of Refused are those of the specification", () => {
  assertEquals([...BARE].sort(), [
    "Goodbye",
    "Ping",
    "Pong",
    "RegisterAck",
    "SessionFinished",
    "TargetBusy",
    "TargetNotFound",
  ]);
  assertEquals([...REFUSALS].sort(), [
    "BadName",
    "Draining",
    "Full",
    "Malformed",
    "NameTaken",
    "Password",
    "Replaced",
    "TooFast",
    "TooMany",
  ]);
});

for (
  const [what, json, message] of [
    ["fields that are unknown", '{"Register":{"username":"a","ttl":5,"more":{"b":[1]}}}', {
      type: "Register",
      username: "a",
    }],
    ["optional fields that are null", '{"Register":{"username":"a","address":null}}', {
      type: "Register",
      username: "a",
    }],
    ["white space", ' { "Connect" : {\n"target_username" :\t"bob" } }\r\n', {
      type: "Connect",
      targetUsername: "bob",
    }],
    ["what a bare message carries", '{"Ping":null}', { type: "Ping" }],
    ["the first of two fields of one name", '{"Register":{"username":"a","username":"b"}}', {
      type: "Register",
      username: "b",
    }],
    [
      "candidates that are no addresses",
      '{"Connect":{"target_username":"b","candidates":["x",7,null,[],"host:1","1.2.3.4:0","1.2.3.4:5"]}}',
      { type: "Connect", targetUsername: "b", candidates: ["1.2.3.4:5"] },
    ],
    [
      "words for a NAT that are unknown",
      '{"Register":{"username":"a","mapping":"Independent","seen":["1.2.3.4:5"]}}',
      { type: "Register", username: "a", seen: ["1.2.3.4:5"] },
    ],
    [
      "a word for a NAT that fills the message",
      `{"Register":{"username":"a","mapping":"${"none".repeat(900)}"}}`,
      { type: "Register", username: "a" },
    ],
    [
      "properties of every array as words for a NAT",
      '{"Register":{"username":"a","mapping":"length"}}',
      { type: "Register", username: "a" },
    ],
    [
      "what is no address among those of datagrams",
      '{"Connect":{"target_username":"b","udp":["x",{},"[::1]:7"],"seen":[null,"1.2.3.4:65536"]}}',
      { type: "Connect", targetUsername: "b", udp: ["[::1]:7"], seen: [] },
    ],
    ["an unknown code's meaning", '{"Refused":{"code":"Tired","text":""}}', {
      type: "Refused",
      code: "Tired",
      text: "",
    }],
  ] as [string, string, RendezvousMessage][]
) {
  Deno.test(`decodeRendezvous() ignores ${what}`, () => assertEquals(decode(json), message));
}

Deno.test("decodeRendezvous() keeps no more candidates than the limit", () => {
  const candidates = Array.from({ length: 40 }, (_, index) => `1.2.3.4:${index + 1}`);
  const message = decode(JSON.stringify({ Connect: { target_username: "b", candidates } }));
  assertEquals(message, {
    type: "Connect",
    targetUsername: "b",
    candidates: candidates.slice(0, MAX_CANDIDATES),
  });
});

Deno.test("decodeRendezvous() keeps no more addresses for datagrams than the limits", () => {
  const many = Array.from({ length: 40 }, (_, index) => `1.2.3.4:${index + 1}`);
  const message = decode(JSON.stringify({ Register: { username: "b", udp: many, seen: many } }));
  assertEquals(message, {
    type: "Register",
    username: "b",
    udp: many.slice(0, MAX_CANDIDATES),
    seen: many.slice(0, MAX_SEEN),
  });
});

Deno.test("encodeRendezvous() writes the longest introduction within a message", () => {
  const longest = "[0000:0000:0000:0000:0000:ffff:255.255.255.255]:65535";
  const info: RendezvousMessage = {
    type: "PeerInfo",
    peer: longest,
    username: '"'.repeat(64),
    key: KEY,
    candidates: Array(MAX_CANDIDATES).fill(longest),
    udp: Array(MAX_CANDIDATES).fill(longest),
    seen: Array(MAX_SEEN).fill(longest),
    mapping: "independent",
    secret: TOKEN,
    circuit: TOKEN,
    initiator: false,
  };
  const bytes = encodeRendezvous(info);
  assert(bytes.length < MAX_RENDEZVOUS_BYTES, `${bytes.length} bytes`);
  assertEquals(decode(decodeText(bytes)), info);
});

Deno.test("decodeRendezvous() cuts the text of a refusal", () => {
  const message = decode(JSON.stringify({ Refused: { code: "Full", text: "x".repeat(4_000) } }));
  assertEquals(message, { type: "Refused", code: "Full", text: "x".repeat(MAX_REASON_BYTES) });
});

for (
  const json of [
    '"Dance"',
    '""',
    '{"Dance":{"with":"me"}}',
    '{"":{}}',
    '{"__proto__":{"username":"a"}}',
    '{"constructor":{"username":"a"}}',
    '{"toString":{}}',
    '"__proto__"',
    '"constructor"',
    '{"ping":{}}',
  ]
) {
  Deno.test(`decodeRendezvous() knows nothing of ${json}`, () => {
    assertEquals(decodeRendezvous(encodeText(json)), undefined);
  });
}

for (
  const json of [
    "",
    " ",
    "Ping",
    "null",
    "7",
    "true",
    "[]",
    '["Ping"]',
    "{}",
    '{"Ping":1,"Pong":2}',
    '{"Register":{"username":"a"},"more":1}',
    '"Register"',
    '{"Register":null}',
    '{"Register":"alice"}',
    '{"Register":["alice"]}',
    '{"Register":{}}',
    '{"Register":{"username":null}}',
    '{"Register":{"username":7}}',
    '{"Register":{"username":{"a":1}}}',
    '{"Register":{"__proto__":{"username":"a"}}}',
    '{"Register":{"constructor":"a"}}',
    '{"Register":{"username":"a","address":"host:80"}}',
    '{"Register":{"username":"a","address":"1.2.3.4"}}',
    '{"Register":{"username":"a","candidates":"1.2.3.4:5"}}',
    '{"Connect":{"username":"a"}}',
    '{"PeerInfo":{"peer":"1.2.3.4:99999","username":"a"}}',
    '{"PeerInfo":{"peer":"1.2.3.4:5"}}',
    '{"PeerInfo":{"peer":"1.2.3.4:5","username":"a","key":"AAAA"}}',
    '{"PeerInfo":{"peer":"1.2.3.4:5","username":"a","circuit":"00112233445566778899AABBCCDDEEFF"}}',
    '{"PeerInfo":{"peer":"1.2.3.4:5","username":"a","initiator":1}}',
    '{"PeerInfo":{"peer":"1.2.3.4:5","username":"a","circuit":false}}',
    '{"PeerInfo":{"peer":"1.2.3.4:5","username":"a","secret":"00112233445566778899aabbccddee"}}',
    '{"PeerInfo":{"peer":"1.2.3.4:5","username":"a","secret":"00112233445566778899AABBCCDDEEFF"}}',
    '{"Connect":{"target_username":"a","circuit":0}}',
    '{"Connect":{"target_username":"a","circuit":"00112233445566778899aabbccddeeff"}}',
    '{"Register":{"username":"a","mapping":7}}',
    '{"Register":{"username":"a","udp":"1.2.3.4:5"}}',
    '{"Register":{"username":"a","seen":{"0":"1.2.3.4:5"}}}',
    '{"Refused":{"code":"Full"}}',
    '{"DirectMessage":{}}',
    '"Ping" "Pong"',
    '"Ping"\0',
    "{'Ping':1}",
    '\ufeff"Ping"',
    "[".repeat(4_096),
    '{"Register":'.repeat(300),
    "[".repeat(2_048) + "]".repeat(2_048),
  ]
) {
  Deno.test(`decodeRendezvous() refuses ${json.slice(0, 60) || "nothing at all"}`, () => {
    assertThrows(() => decodeRendezvous(encodeText(json)), ProtocolError);
  });
}

Deno.test("decodeRendezvous() refuses text that is not UTF-8", () => {
  assertThrows(() => decodeRendezvous(Uint8Array.fromHex("22ff22")), ProtocolError, "UTF-8");
});

Deno.test("decodeRendezvous() finds fields however deep the one that it ignores", () => {
  const deep = "[".repeat(2_000) + "]".repeat(2_000);
  assertEquals(decode(`{"Register":{"more":${deep},"username":"a"}}`), {
    type: "Register",
    username: "a",
  });
});

Deno.test("reading a message changes no prototype", () => {
  decode('{"Register":{"username":"a","__proto__":{"polluted":true}}}');
  assertEquals(({} as Record<string, unknown>)["polluted"], undefined);
});

const address = fc.oneof(
  fc.tuple(fc.ipV4(), fc.integer({ min: 1, max: 65_535 })).map(([ip, port]) => `${ip}:${port}`),
  fc.tuple(fc.ipV6(), fc.integer({ min: 1, max: 65_535 })).map(([ip, port]) => `[${ip}]:${port}`),
);
const candidates = fc.array(address, { maxLength: MAX_CANDIDATES });
const punchInfo = {
  udp: candidates,
  seen: fc.array(address, { maxLength: MAX_SEEN }),
  mapping: fc.constantFrom(...MAPPINGS),
};
const anyText = fc.string({ unit: "grapheme", maxLength: 40 });
const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });

const anyMessage: fc.Arbitrary<RendezvousMessage> = fc.oneof(
  fc.record({ type: fc.constantFrom(...BARE) }),
  fc.record({ type: fc.constant("Hello" as const), password: anyText }, { requiredKeys: ["type"] }),
  fc.record({ type: fc.constant("Welcome" as const), address }),
  fc.record(
    {
      type: fc.constant("Register" as const),
      username: anyText,
      address,
      candidates,
      ...punchInfo,
    },
    { requiredKeys: ["type", "username"] },
  ),
  fc.record(
    {
      type: fc.constant("Connect" as const),
      targetUsername: anyText,
      username: anyText,
      candidates,
      ...punchInfo,
      circuit: fc.boolean(),
    },
    { requiredKeys: ["type", "targetUsername"] },
  ),
  fc.record(
    {
      type: fc.constant("PeerInfo" as const),
      peer: address,
      username: anyText,
      key: bytes(32),
      candidates,
      ...punchInfo,
      secret: bytes(16),
      circuit: bytes(16),
      initiator: fc.boolean(),
    },
    { requiredKeys: ["type", "peer", "username"] },
  ),
  fc.record({ type: fc.constant("Refused" as const), code: anyText, text: anyText }),
  fc.record({ type: fc.constant("DirectMessage" as const), content: anyText }),
);

/** Two arrays of the same bytes are equal, whichever buffers they are views of. */
function plain(message: object): unknown {
  return JSON.parse(
    JSON.stringify(message, (_, value) => value instanceof Uint8Array ? value.toHex() : value),
  );
}

Deno.test("decodeRendezvous() reads back whatever encodeRendezvous() writes", () => {
  fc.assert(fc.property(anyMessage, (message) => {
    const read = decodeRendezvous(encodeRendezvous(message));
    assertEquals(plain(read!), plain(message));
  }));
});

Deno.test("decodeRendezvous() gives a message, nothing, or a ProtocolError, whatever the bytes", () => {
  const garbage = fc.oneof(
    fc.uint8Array({ maxLength: MAX_DATAGRAM_BYTES }),
    fc.json().map(encodeText),
    fc.tuple(fc.constantFrom("Register", "Connect", "PeerInfo", "Hello"), fc.jsonValue())
      .map(([name, value]) => encodeText(JSON.stringify({ [name]: value }))),
  );
  fc.assert(fc.property(garbage, (bytes) => {
    try {
      decodeRendezvous(bytes);
    } catch (error) {
      assert(error instanceof ProtocolError, String(error));
    }
  }));
});
