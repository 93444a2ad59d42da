/** A whole relay in memory, on a clock that stands still, and those who connect to it. */
import { assertEquals } from "@std/assert";
import { encodeText } from "../../protocol/bytes.ts";
import type { Connection } from "../../protocol/connection.ts";
import { generateKeyPair } from "../../protocol/noise.ts";
import { DEFAULT_LIMITS, type RelayLimits } from "../../relay/limits.ts";
import { RelayServer, type RelayServices } from "../../relay/server.ts";
import { FakeClock } from "./clock.ts";
import {
  connectionPair,
  type ConnectionPairOptions,
  type MemoryConnection,
} from "./connection_pair.ts";
import { ControlClient, type ControlClientOptions } from "./control_client.ts";

export interface RelayRigOptions {
  limits?: Partial<RelayLimits>;
  password?: string;
  descriptorLimit?: number;
  services?: Partial<RelayServices>;
}

export interface DialOptions extends ConnectionPairOptions {
  /** Where it is seen. */
  from?: string;
}

export class RelayRig implements AsyncDisposable {
  readonly clock = new FakeClock();
  readonly server: RelayServer;
  /** What was logged, as `[name, fields]`. */
  readonly events: [name: string, fields: Readonly<Record<string, unknown>>][] = [];
  readonly warnings: string[] = [];
  #take: ((connection: Connection) => void) | undefined;

  constructor(options: RelayRigOptions = {}) {
    this.server = new RelayServer({
      limits: { ...DEFAULT_LIMITS, ...options.limits },
      host: {
        identity: generateKeyPair(),
        clock: this.clock,
        log: {
          event: (name, fields = {}) => this.events.push([name, fields]),
          say: () => {},
          warn: (...lines) => this.warnings.push(...lines),
        },
        password: options.password,
        descriptorLimit: options.descriptorLimit ?? 65_536,
      },
      port: {
        addresses: [],
        stunPort: 8_081,
        datagrams: [],
        accept: (take) => this.#take = take,
        close: () => this.#take = undefined,
      },
      services: {
        http: () => Promise.resolve(),
        datagrams: () => Promise.resolve(),
        ...options.services,
      },
    });
  }

  /** Whether it takes connections. */
  get open(): boolean {
    return this.#take !== undefined;
  }

  /** A connection to the relay. */
  dial({ from = "192.0.2.1:5000", ...options }: DialOptions = {}): MemoryConnection {
    const [near, far] = connectionPair({ ...options, remotes: ["relay", from] });
    this.#take!(far);
    return near;
  }

  /** A control session. The Welcome is left to be received. */
  async connect(options: ControlClientOptions & DialOptions = {}): Promise<ControlClient> {
    return await ControlClient.over(this.dial(options), { clock: this.clock, ...options });
  }

  /** A control session that holds a name. */
  async registered(
    name: string,
    options: ControlClientOptions & DialOptions = {},
  ): Promise<ControlClient> {
    const client = await this.connect(options);
    await client.register(name);
    return client;
  }

  /** Closes the relay: nothing must be left of it. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.clock.until(this.server.close(), 5_000);
    assertEquals([this.server.connections, this.clock.pending], [0, 0]);
    assertEquals(this.warnings, []);
  }
}

/** Writes text, and reads all that is answered until the relay closes. */
export async function say(connection: Connection, text: string): Promise<string> {
  await connection.write(encodeText(text));
  return await hear(connection);
}

/** All that comes until the relay closes. */
export async function hear(connection: Connection): Promise<string> {
  const heard: Uint8Array[] = [];
  for (let bytes = await connection.read(); bytes; bytes = await connection.read()) {
    heard.push(bytes);
  }
  connection.close();
  return heard.map((bytes) => new TextDecoder().decode(bytes)).join("");
}
