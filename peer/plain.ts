/**
 * Plain chat: lines of UTF-8 with anything that speaks them, nc and the original program included;
 * with programs that tell each other of themselves, as a mesh. No files, and no protection at all.
 */
import {
  type Address,
  formatAddress,
  isDialable,
  isLoopback,
  isUnspecified,
  parseIpAddress,
} from "../protocol/address.ts";
import { encodeText } from "../protocol/bytes.ts";
import type { Clock } from "../protocol/clock.ts";
import { P2pError, ProtocolError } from "../protocol/errors.ts";
import {
  DRAIN_TIMEOUT_MS,
  FLUSH_TIMEOUT_MS,
  GOODBYE_TIMEOUT_MS,
  HANDSHAKE_TIMEOUT_MS,
  MAX_PLAIN_LINE_BYTES,
  MAX_SESSIONS,
} from "../protocol/limits.ts";
import {
  decodePlainMesh,
  encodePlainJoin,
  encodePlainPeers,
  type PlainNode,
} from "../protocol/plain_mesh.ts";
import { networkInterfaces } from "./interfaces.ts";
import type { Output } from "./output.ts";
import { plainLines } from "./plain_lines.ts";
import { type PlainConnection, type PlainOrigin, PlainPeer } from "./plain_peer.ts";
import { PlainRoster, type Prospect } from "./plain_roster.ts";

/** Milliseconds that somebody has to say JOIN before it is shown, and spoken to, without. */
const INTRODUCTION_MS = 300;
/** Milliseconds between two lists of members to everybody. */
const LIST_GAP_MS = 200;
/** Milliseconds before somebody that others told of is dialled: it may dial, too, and at once. */
const DIAL_FIRST_MS = 1_000;
/** The same, where the other side is to dial first. */
const DIAL_SECOND_MS = 2_000;

/** What every screen shows that shows plain chat. */
export const PLAIN_WARNING =
  "PLAIN: nothing is encrypted, and anybody can claim to be anybody. Leave --plain out for a protected chat.";

export interface PlainRoomOptions {
  output: Output;
  clock: Clock;
  /** What tells this run of the program from all others in a mesh. */
  nodeId: string;
  /** The name that we go by in a mesh. */
  name: string;
  /** Whether we say JOIN first; else only to those who did. */
  joins: boolean;
  /** The address on which we listen, which may be all of this machine's; undefined: none. */
  listening: Address | undefined;
  /**
   * Connects to somebody.
   * @throws {P2pError} if nobody answers there in time
   */
  dial: (address: Address, signal: AbortSignal) => Promise<PlainConnection>;
  /** Called when somebody has gone, with the reason if it did not just leave. */
  onLeft: (name: string, error: P2pError | undefined) => void;
}

/** Those with whom we chat in plain text. */
export class PlainRoom {
  readonly #options: PlainRoomOptions;
  readonly #output: Output;
  readonly #clock: Clock;
  readonly #peers = new Set<PlainPeer>();
  readonly #roster = new PlainRoster((prospect) => this.#isHere(prospect));
  /** Ends the diallings. */
  readonly #ending = new AbortController();
  readonly #deserted = Promise.withResolvers<void>();
  #cancelDial = () => {};
  /** Whether nobody else is to come. */
  #finishing = false;
  #cancelList: (() => void) | undefined;

  constructor(options: PlainRoomOptions) {
    this.#options = options;
    this.#output = options.output;
    this.#clock = options.clock;
  }

  /** How many are here. */
  get size(): number {
    return this.#active.length;
  }

  /** Resolves when everybody who was here has gone, and nobody is left whom they told of. */
  get deserted(): Promise<void> {
    return this.#deserted.promise;
  }

  /** Whether this side has ended it. */
  get closed(): boolean {
    return this.#ending.signal.aborted;
  }

  /** Who is here, ourselves first: for people and programs. */
  get members() {
    const { name, nodeId, listening } = this.#options;
    const own = { name, node: nodeId, listen: listening && formatAddress(listening) };
    const others = this.#active.filter(({ here }) => here).map((peer) => ({
      name: peer.name,
      node: peer.node?.nodeId,
      listen: peer.node?.listen && formatAddress(peer.node.listen),
      address: peer.connection.remote,
      path: peer.connection.path,
    }));
    return { own, others };
  }

  /** Dials an address, now, and each minute in which nobody from there is here. */
  join(address: Address): void {
    if (this.#isOwn(address)) {
      return this.#output.warn(`${formatAddress(address)} is this program's own address`);
    }
    this.#roster.name(address, this.#clock.now());
    this.#dialDue();
  }

  /** Takes a connection in until it ends. */
  async enter(connection: PlainConnection, origin: PlainOrigin, dialled?: Address): Promise<void> {
    if (this.#finishing || this.#peers.size >= MAX_SESSIONS) return connection.close();
    const peer = new PlainPeer(connection, origin, this.#clock);
    if (dialled) peer.isAt(formatAddress(dialled));
    this.#peers.add(peer);
    this.#awaitIntroduction(peer);
    let failure: P2pError | undefined;
    try {
      for await (const line of plainLines(connection, origin !== "accepted")) {
        this.#take(peer, line);
      }
    } catch (error) {
      if (!(error instanceof P2pError)) throw error;
      failure = error;
    } finally {
      this.#remove(peer, failure);
    }
  }

  /**
   * Sends a line to everybody. Somebody who takes none for 20 s is given up; meanwhile the others
   * have theirs.
   * @throws {P2pError} if the line is longer than others take
   */
  async say(text: string): Promise<void> {
    const line = encodeText(text + "\n");
    if (line.length > MAX_PLAIN_LINE_BYTES) throw new P2pError("Line not sent: longer than 1 MiB");
    const to = this.#active.filter(({ origin, here }) => here || origin !== "told");
    if (to.length === 0) this.#output.say("Nobody is here yet to read that.");
    const served = new Set<object>();
    await Promise.all(to.map(async (peer) => {
      if (!peer.here) await peer.introduced;
      // Two connections may have turned out to be one program's meanwhile.
      if (served.has(peer.person)) return;
      served.add(peer.person);
      const stays = this.#active.find(({ person }) => person === peer.person);
      await stays?.writer.send(line);
    }));
  }

  /** We have no more to say. Who does not leave within a second then is left. */
  async finish(): Promise<void> {
    this.#admitNobody();
    await Promise.allSettled([...this.#peers].map(({ writer }) => writer.end()));
    this.#clock.after(GOODBYE_TIMEOUT_MS, () => this.close());
  }

  /** Ends it when all that was said is written, or five seconds have passed. */
  async leave(): Promise<void> {
    const cancel = this.#clock.after(FLUSH_TIMEOUT_MS, () => this.close());
    await Promise.all([...this.#peers].map(({ writer }) => writer.drained()));
    cancel();
    this.close();
  }

  close(): void {
    this.#ending.abort();
    this.#admitNobody();
    for (const { writer } of this.#peers) writer.close();
    this.#checkDeserted();
  }

  #admitNobody(): void {
    this.#finishing = true;
    this.#cancelDial();
    this.#cancelList?.();
  }

  /** All connections, but for those that others have taken the place of. */
  get #active(): PlainPeer[] {
    return [...this.#peers].filter(({ retired }) => !retired);
  }

  #awaitIntroduction(peer: PlainPeer): void {
    const told = peer.origin === "told";
    if (this.#options.joins || told) this.#sayJoin(peer);
    else this.#introduce(peer);
    peer.cancel = this.#clock.after(told ? HANDSHAKE_TIMEOUT_MS : INTRODUCTION_MS, () => {
      if (!told) this.#introduce(peer);
      else if (!peer.node) peer.writer.close();
    });
  }

  #introduce(peer: PlainPeer): void {
    if (peer.here || peer.retired) return;
    peer.here = true;
    const { name, connection: { remote, path } } = peer;
    const where = name === remote ? path : `${remote}, ${path}`;
    this.#output.say(`Connected to ${name} (${where}, NOT encrypted)`);
    this.#output.event("connected", { peer: name, path, plain: true, address: remote });
    peer.introduce();
  }

  #remove(peer: PlainPeer, error: P2pError | undefined): void {
    this.#peers.delete(peer);
    peer.cancel();
    peer.writer.close();
    peer.introduce();
    if (peer.here && !peer.retired) {
      if (!error) this.#output.say(`${peer.name} has left`);
      this.#output.event("disconnected", { peer: peer.name });
    }
    const known = peer.here || peer.origin !== "told";
    if (known && !peer.retired) this.#options.onLeft(peer.name, error);
    this.#checkDeserted();
  }

  #checkDeserted(): void {
    if (this.#peers.size === 0 && (this.#finishing || !this.#roster.pending)) {
      this.#deserted.resolve();
    }
  }

  #take(peer: PlainPeer, line: string): void {
    if (peer.writer.closed) return;
    const message = decodePlainMesh(line);
    if (message?.type === "join") return this.#joined(peer, message.node);
    if (message?.type === "peers") return this.#told(peer, message.nodes);
    if (message) return this.#warnOnce(peer);
    if (peer.origin === "told" && !peer.node) {
      throw new ProtocolError("Not joined: it does not speak of itself as programs of the mesh do");
    }
    this.#introduce(peer);
    this.#output.message(peer.name, line);
  }

  #warnOnce(peer: PlainPeer): void {
    if (!peer.warned) {
      this.#output.warn(`${peer.name} tells of the mesh what cannot be understood: it is dropped`);
    }
    peer.warned = true;
  }

  #sayJoin(peer: PlainPeer): void {
    if (peer.saidJoin) return;
    peer.saidJoin = true;
    const { nodeId, name } = this.#options;
    const listen = this.#listenAddress(peer.connection.localHost);
    this.#send(peer, encodePlainJoin({ nodeId, name, listen }));
  }

  #send(peer: PlainPeer, line: string): void {
    // Whoever takes nothing is told nothing new, and given up soon.
    if (!peer.writer.full) peer.writer.send(encodeText(`${line}\n`));
  }

  /** Only the first JOIN of a connection counts. */
  #joined(peer: PlainPeer, told: PlainNode): void {
    if (peer.node) return;
    const node = { ...told, listen: this.#dialable(told.listen, peer, { itself: true }) };
    peer.node = node;
    if (node.listen) peer.isAt(formatAddress(node.listen));
    this.#sayJoin(peer);
    if (node.nodeId === this.#options.nodeId) return this.#drop(peer);
    const twin = this.#twinOf(peer, node.nodeId);
    if (twin) return this.#settle(peer, twin);
    this.#call(peer, node.name);
    this.#introduce(peer);
    if (peer.origin === "accepted") this.#tellList(peer);
    this.#listSoon();
  }

  #call(peer: PlainPeer, wanted: string | undefined): void {
    const name = wanted === undefined ? peer.name : this.#freeName(wanted);
    if (peer.here && name !== peer.name) {
      this.#output.say(`${peer.name} is now called ${name}`);
      this.#output.event("renamed", { peer: peer.name, name });
    }
    peer.name = name;
  }

  /** The name, or with the next free number where somebody has it, ourselves included. */
  #freeName(wanted: string): string {
    const taken = new Set([this.#options.name, ...this.#active.map(({ name }) => name)]);
    let name = wanted;
    for (let n = 2; taken.has(name); n++) name = `${wanted}-${n}`;
    return name;
  }

  /** The connection that there is already to this one. From another machine it may be a pretender. */
  #twinOf(peer: PlainPeer, nodeId: string): PlainPeer | undefined {
    const same = this.#active.filter((each) => each !== peer && each.node?.nodeId === nodeId);
    const own = ownHosts();
    const host = hostOf(peer);
    return same.find((each) => hostOf(each) === host || (own.has(hostOf(each)) && own.has(host)));
  }

  /** Of two connections to the same one, one goes on, under the name that is known. */
  #settle(peer: PlainPeer, twin: PlainPeer): void {
    const [stays, goes] = this.#prefers(peer, twin) ? [peer, twin] : [twin, peer];
    if (peer.here) this.#output.event("disconnected", { peer: peer.name });
    stays.here = true;
    stays.name = goes.name = twin.name;
    stays.person = goes.person = twin.person;
    for (const address of goes.addresses) stays.isAt(address);
    this.#retire(goes);
    stays.introduce();
  }

  /** Whether the later of two connections is the one that both sides keep. */
  #prefers(later: PlainPeer, earlier: PlainPeer): boolean {
    const byUs = later.origin !== "accepted";
    if (byUs === (earlier.origin !== "accepted")) return true;
    return byUs === this.#options.nodeId < later.node!.nodeId;
  }

  /** What it has sent before it notices is still shown. */
  #retire(peer: PlainPeer): void {
    peer.retired = true;
    peer.introduce();
    peer.writer.end();
    peer.cancel();
    peer.cancel = this.#clock.after(DRAIN_TIMEOUT_MS, () => peer.writer.close());
  }

  /** This is a connection with ourselves, or with somebody who says so. */
  #drop(peer: PlainPeer): void {
    peer.retired = true;
    peer.writer.close();
  }

  #told(peer: PlainPeer, nodes: readonly PlainNode[]): void {
    if (!peer.node || !peer.lists.take()) return;
    for (const { nodeId, listen } of nodes) {
      const address = this.#dialable(listen, peer, { itself: false });
      if (!address || nodeId === this.#options.nodeId) continue;
      const prospect = { address, nodeId };
      if (this.#isOwn(address) || this.#isHere(prospect)) continue;
      const wait = this.#options.nodeId < nodeId ? DIAL_FIRST_MS : DIAL_SECOND_MS;
      this.#roster.told(prospect, peer, this.#clock.now() + wait);
    }
    this.#dialDue();
  }

  #isHere({ address, nodeId }: Prospect): boolean {
    const text = formatAddress(address);
    return this.#active.some(({ node, addresses }) =>
      addresses.has(text) || (node !== undefined && node.nodeId === nodeId)
    );
  }

  #dialDue(): void {
    this.#cancelDial();
    if (this.#finishing) return;
    for (const prospect of this.#roster.due(this.#clock.now())) this.#dial(prospect);
    const wait = this.#roster.wait(this.#clock.now());
    this.#cancelDial = wait === undefined ? () => {} : this.#clock.after(wait, () => {
      this.#dialDue();
      this.#checkDeserted();
    });
  }

  async #dial(prospect: Prospect): Promise<void> {
    const { address, nodeId } = prospect;
    try {
      const connection = await this.#options.dial(address, this.#ending.signal);
      this.enter(connection, nodeId === undefined ? "named" : "told", address);
    } catch (error) {
      if (!(error instanceof P2pError)) throw error;
      // Of whom others tell may long be gone.
      if (nodeId === undefined && !this.closed) this.#output.warn(`${error.message}; trying again`);
    } finally {
      this.#roster.over(prospect);
      this.#dialDue();
      this.#checkDeserted();
    }
  }

  #listSoon(): void {
    this.#cancelList ??= this.#clock.after(LIST_GAP_MS, () => {
      this.#cancelList = undefined;
      for (const peer of this.#active) if (peer.node) this.#tellList(peer);
    });
  }

  #tellList(peer: PlainPeer): void {
    const nodes = this.#active.map(({ node }) => node)
      .filter((node) => node !== undefined)
      .filter(({ nodeId, listen }) => listen && nodeId !== peer.node?.nodeId)
      .map((node) => ({ ...node, listen: seenFrom(peer, node.listen!) }));
    if (nodes.length > 0) this.#send(peer, encodePlainPeers(nodes));
  }

  /** Where we listen, for somebody who is connected to that address of this machine. */
  #listenAddress(localHost: string): Address | undefined {
    const { listening } = this.#options;
    return listening && isUnspecified(listening.host)
      ? { host: localHost, port: listening.port }
      : listening;
  }

  #isOwn({ host, port }: Address): boolean {
    const { listening } = this.#options;
    if (listening?.port !== port) return false;
    if (!isUnspecified(listening.host)) return listening.host === host;
    return isLoopback(host) || isUnspecified(host) || ownHosts().has(host);
  }

  /**
   * An address that somebody told, if it may be dialled.
   * @param itself whether it is where the teller itself listens, that may not know its own address
   */
  #dialable(
    told: Address | undefined,
    teller: PlainPeer,
    { itself }: { itself: boolean },
  ): Address | undefined {
    if (!told) return undefined;
    const host = hostOf(teller);
    const here = isLoopback(host) || ownHosts().has(host);
    const unsure = isUnspecified(told.host) || (isLoopback(told.host) && !here);
    const address = itself && unsure ? { host, port: told.port } : told;
    return isDialable(address.host, here) ? address : undefined;
  }
}

/** The IP address from which, or at which, it is connected. */
function hostOf({ connection: { remote } }: PlainPeer): string {
  return parseIpAddress(remote)?.host ?? remote;
}

/** The IP addresses of this machine. */
function ownHosts(): Set<string> {
  return new Set(networkInterfaces().map(({ address }) => address));
}

/** A member on this machine is not reached at loopback by somebody on another one. */
function seenFrom(peer: PlainPeer, listen: Address): Address {
  const elsewhere = isLoopback(listen.host) && !isLoopback(peer.connection.localHost);
  return elsewhere ? { host: peer.connection.localHost, port: listen.port } : listen;
}
