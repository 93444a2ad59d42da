import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import {
  decodePlainMesh,
  encodePlainJoin,
  encodePlainPeers,
  type PlainMeshMessage,
  type PlainNode,
} from "../../protocol/plain_mesh.ts";

const ALICE_LINE =
  'JOIN|{"remote_addr":null,"listen_addr":"127.0.0.1:8080","node_id":"5ef8","uname":"Alice"}';
const ALICE: PlainNode = {
  nodeId: "5ef8",
  name: "Alice",
  listen: { host: "127.0.0.1", port: 8080 },
};
const BOB: PlainNode = { nodeId: "b0b", name: "B;o|b", listen: { host: "2001:db8::1", port: 1 } };
const BOB_OBJECT = String
  .raw`{"remote_addr":null,"listen_addr":"[2001:db8::1]:1","node_id":"b0b","uname":"B\u003bo\u007cb"}`;
const SILENT: PlainNode = { nodeId: "s", name: undefined, listen: undefined };
const SILENT_OBJECT = '{"remote_addr":null,"listen_addr":"0.0.0.0:0","node_id":"s","uname":""}';

/** Message and line, both directions. */
const TABLE: [PlainMeshMessage, string][] = [
  [{ type: "join", node: ALICE }, ALICE_LINE],
  [{ type: "join", node: BOB }, `JOIN|${BOB_OBJECT}`],
  [{ type: "join", node: SILENT }, `JOIN|${SILENT_OBJECT}`],
  [{ type: "peers", nodes: [] }, "PEERS|"],
  [{ type: "peers", nodes: [BOB] }, `PEERS|${BOB_OBJECT}`],
  [{ type: "peers", nodes: [BOB, SILENT] }, `PEERS|${BOB_OBJECT};${SILENT_OBJECT}`],
];

for (const [message, line] of TABLE) {
  Deno.test(`decodePlainMesh() reads and encodePlain…() writes ${line.slice(0, 40)}…`, () => {
    assertEquals(decodePlainMesh(line), message);
    if (message.type === "join") assertEquals(encodePlainJoin(message.node), line);
    if (message.type === "peers") assertEquals(encodePlainPeers(message.nodes), line);
  });
}

function join(fields: string): PlainMeshMessage | undefined {
  return decodePlainMesh(`JOIN|{${fields}}`);
}

Deno.test("decodePlainMesh() takes any order, white space, unknown fields and separators in strings", () => {
  const fields = [
    ' "uname" : "Alice"\t, "node_id":"5ef8", "listen_addr":"127.0.0.1:8080"',
    '"node_id":"5ef8","uname":"Alice","listen_addr":" 127.0.0.1:8080 ","remote_addr":"1.2.3.4:5"',
    '"v":[{"a":"};{"}],"node_id":"5ef8","listen_addr":"127.0.0.1:8080","uname":"Alice"',
    '"v":"\\\\\\";","node_id":"5ef8","listen_addr":"127.0.0.1:8080","uname":"Alice"',
  ];
  for (const each of fields) assertEquals(join(each), { type: "join", node: ALICE });
  const list = fields.map((each) => ` {${each}} `).join(" ; ");
  assertEquals(decodePlainMesh(`PEERS| ${list};`), {
    type: "peers",
    nodes: fields.map(() => ALICE),
  });
});

Deno.test("decodePlainMesh() takes what cannot be a name for none, and what is no IP address for no listening", () => {
  for (
    const uname of [
      '"\\u001b[31m"',
      '"Alice: hi"',
      '"127.0.0.1:80"',
      '" a"',
      '""',
      "7",
      "null",
      "{}",
      `"${"x".repeat(65)}"`,
    ]
  ) {
    assertEquals(join(`"node_id":"s","uname":${uname}`), { type: "join", node: SILENT });
  }
  for (
    const listen of [
      '"h:1"',
      '"127.0.0.1"',
      '"127.0.0.1:0"',
      '"127.0.0.1:65536"',
      '"1.2.3:4"',
      '"::1:80"',
      "80",
      "null",
    ]
  ) {
    assertEquals(join(`"node_id":"s","listen_addr":${listen}`), { type: "join", node: SILENT });
  }
});

Deno.test("decodePlainMesh() tells what is malformed, and leaves chat alone", () => {
  for (
    const line of [
      "JOIN|",
      "JOIN|us",
      "JOIN|[]",
      "JOIN|null",
      "JOIN|{}",
      'JOIN|{"node_id":7}',
      'JOIN|{"node_id":""}',
      `JOIN|{"node_id":"${"x".repeat(65)}"}`,
      'JOIN|{"node_id":"a"',
      'JOIN|{"node_id":"a"};{"node_id":"b"}',
      'JOIN|{"node_id":"a"} x',
      'JOIN|{"node_id":"a;}',
      "PEERS|x",
      'PEERS|{"node_id":"a"};x',
      'PEERS|{"node_id":"a"}{"node_id":"b"}',
      `PEERS|{"node_id":"a"}${" ".repeat(65_536)}`,
      `JOIN|{"node_id":"a","v":"${"ü".repeat(33_000)}"}`,
    ]
  ) {
    assertEquals(decodePlainMesh(line), { type: "malformed" }, line.slice(0, 80));
  }
  for (const line of ["", "hi", "JOIN", "JOIN us", "join|{}", " JOIN|{}", "PEERS", "peers|{}"]) {
    assertEquals(decodePlainMesh(line), undefined, line);
  }
});

Deno.test("PEERS tells of 64 at most, and is read up to there", () => {
  const nodes = Array.from({ length: 70 }, (_, i) => ({ ...ALICE, nodeId: String(i) }));
  const line = encodePlainPeers(nodes);
  assertEquals(decodePlainMesh(line), { type: "peers", nodes: nodes.slice(0, 64) });
  assertEquals(decodePlainMesh(`${line};{"node_id":"more"}`), {
    type: "peers",
    nodes: nodes.slice(0, 64),
  });
});

Deno.test("encodePlain…() writes one line that splits at every ; and | where it should", () => {
  fc.assert(fc.property(fc.array(fc.string({ unit: "binary" }), { maxLength: 5 }), (names) => {
    const nodes = names.map((name, i) => ({ nodeId: `${i};|`, name, listen: ALICE.listen }));
    const line = encodePlainPeers(nodes);
    assert(!line.includes("\n"));
    assertEquals(line.split(";").length, Math.max(1, nodes.length));
    assertEquals(line.split("|").length, 2);
  }));
});

Deno.test("decodePlainMesh() answers any line, in time that grows with its length", () => {
  fc.assert(fc.property(fc.string(), (text) => {
    for (const prefix of ["JOIN|", "PEERS|"]) assert(decodePlainMesh(prefix + text));
  }));
  for (const unit of ['"', "\\", '"\\', "[", '{"a":', ";", "{};", '";']) {
    const line = "PEERS|" + unit.repeat(Math.floor(65_000 / unit.length));
    const began = performance.now();
    decodePlainMesh(line);
    assert(performance.now() - began < 500, unit);
  }
});
