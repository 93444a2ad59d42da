/**
 * A network between two processes that can fail: carries TCP connections to a port of this machine,
 * and to those where sessions go on inside TLS, counts, cuts, and swallows.
 */
import { equalBytes } from "../../protocol/bytes.ts";
import { TLS_PREFACE } from "../../protocol/preface.ts";
import { decodeTlsAnswer, encodeTlsAnswer } from "../../protocol/tls_opening.ts";

const READ_BYTES = 65_536;

/** One connection over the network. */
interface Route {
  near: Deno.TcpConn;
  far: Deno.TcpConn;
  /** What arrives is dropped. */
  stalled: boolean;
}

export class Network implements AsyncDisposable {
  /** Bytes carried from those who dial to the port, over all connections. */
  carried = 0;
  /** Connections to the port that were asked for, those that were not made included. */
  dialled = 0;
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #port: number;
  readonly #routes = new Set<Route>();
  /** Where connections inside TLS are expected. */
  readonly #doors = new Set<Deno.TcpListener>();
  readonly #tasks = new Set<Promise<void>>();
  #down = false;
  #changed = Promise.withResolvers<void>();

  /** @param port where connections lead to */
  constructor(port: number) {
    this.#port = port;
    this.#start(this.#accept());
  }

  /** What to dial. */
  get address(): string {
    return `127.0.0.1:${this.#listener.addr.port}`;
  }

  /** Waits until this holds; it is asked whenever bytes or a connection have come. */
  async until(holds: () => boolean): Promise<void> {
    while (!holds()) await this.#changed.promise;
  }

  /** Breaks all connections, and makes no others until `restore`. */
  cut(): void {
    this.#down = true;
    for (const route of this.#routes) close(route);
    this.#closeDoors();
  }

  /** Makes connections again. */
  restore(): void {
    this.#down = false;
  }

  /** From now on swallows what arrives on the connections that there are, and keeps them open. New ones work. */
  stall(): void {
    for (const route of this.#routes) route.stalled = true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    this.cut();
    await Promise.all(this.#tasks);
  }

  #start(task: Promise<void>): void {
    this.#tasks.add(task);
    task.finally(() => this.#tasks.delete(task));
  }

  async #accept(): Promise<void> {
    // Ends when the listener is closed.
    for await (const near of this.#listener) {
      this.dialled++;
      if (this.#down) near.close();
      else this.#start(this.#carry(near, this.#port));
      this.#wake();
    }
  }

  async #carry(near: Deno.TcpConn, port: number): Promise<void> {
    let far: Deno.TcpConn;
    try {
      far = await Deno.connect({ hostname: "127.0.0.1", port });
    } catch {
      // Nobody listens there at the moment.
      return near.close();
    }
    const route = { near, far, stalled: false };
    this.#routes.add(route);
    if (this.#down) close(route);
    await Promise.all([this.#copy(route, near, far), this.#copy(route, far, near)]);
    close(route);
    this.#routes.delete(route);
  }

  async #copy(route: Route, from: Deno.TcpConn, to: Deno.TcpConn): Promise<void> {
    const buffer = new Uint8Array(READ_BYTES);
    let isFirst = from === route.far;
    try {
      for (let count; (count = await from.read(buffer)) !== null;) {
        if (route.stalled) continue;
        const bytes = buffer.subarray(0, count);
        if (isFirst) this.#lead(bytes);
        isFirst = false;
        for (let done = 0; done < count;) done += await to.write(bytes.subarray(done));
        if (from === route.near) this.carried += count;
        this.#wake();
      }
      await to.closeWrite();
    } catch {
      // One side broke off: the other is told by the close.
      close(route);
    }
  }

  /** Where the first words tell at which port TLS is, they are made to lead through here. */
  #lead(words: Uint8Array): void {
    if (!equalBytes(words.subarray(0, TLS_PREFACE.length), TLS_PREFACE)) return;
    const { port, certificate } = decodeTlsAnswer(words.subarray(TLS_PREFACE.length + 2));
    const door = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    this.#doors.add(door);
    words.set(encodeTlsAnswer({ port: door.addr.port, certificate }));
    this.#start(this.#acceptAt(door, port));
  }

  async #acceptAt(door: Deno.TcpListener, port: number): Promise<void> {
    const near = await door.accept().catch(() => undefined);
    if (!near) return;
    this.#doors.delete(door);
    door.close();
    await this.#carry(near, port);
  }

  #closeDoors(): void {
    for (const door of this.#doors) door.close();
    this.#doors.clear();
  }

  #wake(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }
}

/** Idempotent. */
function close({ near, far }: Route): void {
  for (const conn of [near, far]) {
    try {
      conn.close();
    } catch {
      // It is closed already.
    }
  }
}
