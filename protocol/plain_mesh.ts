/**
 * What programs of a plain mesh tell each other, between lines of chat (README.md, section 8):
 *
 *     JOIN|{"remote_addr":null,"listen_addr":"127.0.0.1:8080","node_id":"<uuid>","uname":"Alice"}
 *     PEERS|{…};{…}
 */
import { type Address, formatAddress, parseIpAddress } from "./address.ts";
import { encodeText } from "./bytes.ts";
import { MAX_PLAIN_MESH_BYTES, MAX_PLAIN_NODE_ID_UNITS, MAX_PLAIN_NODES } from "./limits.ts";
import { checkName } from "./name.ts";

/** A program of a plain mesh, as it, or somebody else, says. */
export interface PlainNode {
  nodeId: string;
  /** Undefined for what cannot be a name. */
  name: string | undefined;
  /** Undefined if it does not listen, or does not say where. The host may be unspecified. */
  listen: Address | undefined;
}

/** What a line says, if it is none of chat. */
export type PlainMeshMessage =
  | { type: "join"; node: PlainNode }
  | { type: "peers"; nodes: PlainNode[] }
  | { type: "malformed" };

const JOIN = "JOIN|";
const PEERS = "PEERS|";
/** Some programs split a line at these without reading the strings. */
const SEPARATORS = /[;|]/g;

/** The line, without its end. */
export function encodePlainJoin(node: PlainNode): string {
  return JOIN + encodeNode(node);
}

/** The line, without its end, that tells of these: at most 64. */
export function encodePlainPeers(nodes: readonly PlainNode[]): string {
  return PEERS + nodes.slice(0, MAX_PLAIN_NODES).map(encodeNode).join(";");
}

/** What a line says; undefined for a line of chat. */
export function decodePlainMesh(line: string): PlainMeshMessage | undefined {
  if (line.startsWith(JOIN)) return decodeJoin(line);
  if (line.startsWith(PEERS)) return decodePeers(line);
  return undefined;
}

function decodeJoin(line: string): PlainMeshMessage {
  const [node, ...more] = readNodes(line, JOIN) ?? [];
  return node && more.length === 0 ? { type: "join", node } : { type: "malformed" };
}

function decodePeers(line: string): PlainMeshMessage {
  const nodes = readNodes(line, PEERS);
  return nodes ? { type: "peers", nodes } : { type: "malformed" };
}

/** The nodes behind the prefix; undefined if that is no list of them. */
function readNodes(line: string, prefix: string): PlainNode[] | undefined {
  const tooLong = line.length > MAX_PLAIN_MESH_BYTES ||
    encodeText(line).length > MAX_PLAIN_MESH_BYTES;
  if (tooLong) return undefined;
  const nodes: PlainNode[] = [];
  for (const text of splitObjects(line.slice(prefix.length))) {
    const node = decodeNode(text);
    if (!node) return undefined;
    nodes.push(node);
  }
  return nodes;
}

/** The texts between semicolons that are in no string, but for empty ones, up to the most there may be. */
function splitObjects(text: string): string[] {
  const texts: string[] = [];
  const pattern = /(?:"(?:[^"\\]|\\.)*"|[^";])+/gsu;
  for (const [match] of text.matchAll(pattern)) {
    if (texts.length === MAX_PLAIN_NODES) break;
    if (match.trim() !== "") texts.push(match);
  }
  return texts;
}

function decodeNode(text: string): PlainNode | undefined {
  const value = parseObject(text);
  const nodeId = value?.node_id;
  if (typeof nodeId !== "string" || nodeId === "" || nodeId.length > MAX_PLAIN_NODE_ID_UNITS) {
    return undefined;
  }
  const { uname, listen_addr: listen } = value!;
  return {
    nodeId,
    name: typeof uname === "string" ? checkName(uname).name : undefined,
    listen: typeof listen === "string" ? parseIpAddress(listen.trim()) : undefined,
  };
}

function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const value = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function encodeNode({ nodeId, name, listen }: PlainNode): string {
  const text = JSON.stringify({
    remote_addr: null,
    listen_addr: listen ? formatAddress(listen) : "0.0.0.0:0",
    node_id: nodeId,
    uname: name ?? "",
  });
  return text.replace(SEPARATORS, (character) => character === ";" ? "\\u003b" : "\\u007c");
}
