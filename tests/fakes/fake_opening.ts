/** Ports to punch from, as a test wants them to be seen and to fare. */
import type { Opening, StraightOptions } from "../../peer/straight.ts";
import type { Connection } from "../../protocol/connection.ts";
import { UnreachableError } from "../../protocol/errors.ts";
import { planPunch, type PunchPlan, type Reach } from "../../protocol/nat.ts";

const NOTHING: Reach = { udp: [], seen: [], mapping: undefined };

export class FakeOpening implements Opening {
  reach: Reach = NOTHING;
  onChanged: (() => void) | undefined;
  closed = false;
  /** What was asked of it. */
  asked: StraightOptions | undefined;
  readonly #known = Promise.withResolvers<void>();
  readonly #way = Promise.withResolvers<Connection>();

  get known(): Promise<void> {
    return this.#known.promise;
  }

  plan(peer: Reach): PunchPlan {
    return planPunch(this.reach, peer);
  }

  connect(options: StraightOptions): Promise<Connection> {
    this.asked = options;
    options.signal.addEventListener("abort", () => this.#way.reject(options.signal.reason));
    return this.#way.promise;
  }

  close(): void {
    this.closed = true;
  }

  /** STUN has answered, or not. */
  learn(reach: Reach): void {
    this.reach = reach;
    this.#known.resolve();
  }

  /** The way is there. */
  succeed(connection: Connection): void {
    this.#way.resolve(connection);
  }

  /** There is none. */
  fail(message = "no datagram came through"): void {
    this.#way.reject(new UnreachableError(message));
  }
}

/** A port behind a NAT that maps endpoint-independently. */
export function reachAt(port: number): Reach {
  const seen = [{ host: "203.0.113.2", port }];
  return { udp: [{ host: "192.168.1.10", port }], seen, mapping: "independent" };
}
