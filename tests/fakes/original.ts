/**
 * A node of the mesh as the original program is one: client and server, that says JOIN on every
 * connection, tells PEERS to whoever came and to all when somebody joins, and connects at once to
 * everybody whom it does not know.
 */
import { Captured } from "./captured.ts";
import { Wire } from "./wire.ts";

/** Milliseconds that a connection lasts at the most: longer than any test. */
const LASTS_MS = 600_000;

interface Node {
  remote_addr: string | null;
  listen_addr: string;
  node_id: string;
  uname: string;
}

export class Original implements AsyncDisposable {
  readonly nodeId = crypto.randomUUID();
  /** "NAME: text" for each line that was said to it. */
  readonly heard: Captured;
  readonly #name: string;
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #wires = new Map<Wire, Node | undefined>();
  readonly #known = new Set<string>();
  readonly #readers: Promise<void>[] = [];
  #hear!: ReadableStreamDefaultController<Uint8Array>;

  constructor(name: string) {
    this.#name = name;
    this.heard = new Captured(
      new ReadableStream<Uint8Array>({ start: (controller) => void (this.#hear = controller) }),
    );
    this.#readers.push(this.#accept());
  }

  get address(): string {
    return `127.0.0.1:${this.#listener.addr.port}`;
  }

  /** Those who have said JOIN, by name. */
  get names(): string[] {
    return [...this.#wires.values()].flatMap((node) => node ? [node.uname] : []).sort();
  }

  /** What each has said of itself. */
  get nodes(): Node[] {
    return [...this.#wires.values()].filter((node) => node !== undefined);
  }

  async join(address: string): Promise<void> {
    this.#known.add(address);
    this.#serve(await Wire.dial(address), false);
  }

  async say(text: string): Promise<void> {
    for (const wire of this.#wires.keys()) await wire.send(`${text}\n`);
  }

  /** Waits until it has heard this. */
  async hears(line: string): Promise<void> {
    await this.heard.until(() => this.heard.lines.includes(line) || undefined, line);
  }

  /** Waits until these, and no others, have said JOIN. */
  async knows(...names: string[]): Promise<void> {
    const wanted = names.sort().join();
    await this.heard.until(
      () => this.names.join() === wanted || undefined,
      wanted,
      () => `\nIt knows ${this.names}`,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    for (const wire of this.#wires.keys()) await wire[Symbol.asyncDispose]();
    await Promise.all(this.#readers);
    this.#hear.close();
    await this.heard.ended;
  }

  async #accept(): Promise<void> {
    for await (const conn of this.#listener) this.#serve(new Wire(conn), true);
  }

  #serve(wire: Wire, accepted: boolean): void {
    this.#wires.set(wire, undefined);
    wire.send(`JOIN|${JSON.stringify(this.#node)}\n`).catch(() => {});
    this.#readers.push(this.#read(wire, accepted));
  }

  get #node(): Node {
    const { address, nodeId } = this;
    return { remote_addr: null, listen_addr: address, node_id: nodeId, uname: this.#name };
  }

  async #read(wire: Wire, accepted: boolean): Promise<void> {
    for (let taken = 0;; taken++) {
      const look = () => wire.received.lines[taken];
      const line = await wire.received.until(look, "a line", () => "", LASTS_MS)
        .catch(() => undefined);
      if (line === undefined) break;
      this.#take(wire, accepted, line);
    }
    await wire[Symbol.asyncDispose]();
    this.#wires.delete(wire);
    this.#note("");
  }

  #take(wire: Wire, accepted: boolean, line: string): void {
    if (line.startsWith("JOIN|")) {
      const node: Node = JSON.parse(line.slice(5));
      this.#wires.set(wire, node);
      this.#known.add(node.listen_addr);
      if (accepted) this.#tellPeers(wire);
      for (const other of this.#wires.keys()) if (other !== wire) this.#tellPeers(other);
      this.#note("");
    } else if (line.startsWith("PEERS|")) {
      // As that program does: every character ; separates.
      for (const text of line.slice(6).split(";")) this.#learn(JSON.parse(text));
    } else this.#note(`${this.#wires.get(wire)?.uname}: ${line}`);
  }

  #tellPeers(wire: Wire): void {
    const others = this.nodes.filter((node) => node !== this.#wires.get(wire));
    if (others.length === 0) return;
    const list = others.map((node) => JSON.stringify(node)).join(";");
    wire.send(`PEERS|${list}\n`).catch(() => {});
  }

  #learn({ listen_addr }: Node): void {
    if (this.#known.has(listen_addr) || listen_addr === this.address) return;
    this.join(listen_addr).catch(() => {});
  }

  #note(line: string): void {
    this.#hear.enqueue(new TextEncoder().encode(`${line}\n`));
  }
}
