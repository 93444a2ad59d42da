/**
 * Two machines behind routers of their own, and a public one for a relay: network namespaces of
 * this machine, made by `tests/natlab/natlab` (its head explains the kinds of NAT).
 */
const NATLAB = `${import.meta.dirname}/../natlab/natlab`;

export type NatHost = "a" | "b" | "relay" | "nata" | "natb" | "inet";

/** All addresses of the relay's site. */
const RELAYS = "198.51.100.192/28";

let labs = 0;

/** Why there can be no lab here; undefined if there can. */
export function noNatLab(): string | undefined {
  if (Deno.build.os !== "linux") return "it needs Linux";
  if (Deno.uid() !== 0) return "it needs root, for network namespaces";
  for (const program of ["ip", "nft", "python3"]) {
    const found = new Deno.Command("sh", { args: ["-c", 'command -v "$0"', program] }).outputSync();
    if (!found.success) return `${program} is missing: apt-get install iproute2 nftables python3`;
  }
  return undefined;
}

/** Defines a test in a lab; where there can be none it is skipped, and says so. */
export function natTest(
  name: string,
  kinds: [a: string, b: string, ...options: string[]],
  test: (lab: NatLab) => Promise<void>,
): void {
  const reason = noNatLab();
  if (reason !== undefined) console.error(`SKIPPED: ${name}: ${reason}`);
  Deno.test({
    name,
    ignore: reason !== undefined,
    fn: async () => {
      await using lab = await NatLab.up(...kinds);
      await test(lab);
    },
  });
}

export class NatLab implements AsyncDisposable {
  static readonly #up = new Set<NatLab>();
  static #over = false;
  readonly #name: string;

  private constructor(name: string) {
    this.#name = name;
  }

  /** Builds it: `a` and `b` behind NATs of these kinds, or both behind one ("same-lan", KIND). */
  static async up(a: string, b: string, ...options: string[]): Promise<NatLab> {
    const lab = new NatLab(`t${(Deno.pid % 10_000).toString(36)}x${labs++}`);
    if (NatLab.#over) throw new Error("No laboratory: interrupted");
    NatLab.#up.add(lab);
    await lab.#run("up", a, b, ...options);
    return lab;
  }

  /**
   * Removes all that there are, with what runs in them, and makes no others: for a program that is
   * interrupted.
   */
  static async downAll(): Promise<void> {
    NatLab.#over = true;
    await Promise.all([...NatLab.#up].map((lab) => lab[Symbol.asyncDispose]()));
  }

  /** What stands before a program to run it on a host. */
  on(host: NatHost): string[] {
    return [NATLAB, "-n", this.#name, "exec", host];
  }

  /** A host's own address, or with `public` the one that others see. */
  async address(host: "a" | "b" | "relay", which?: "public"): Promise<string> {
    return (await this.#run("addr", host, ...which ? [which] : [])).trim();
  }

  /** Runs a command on a host to its end. */
  async run(host: NatHost, ...command: string[]): Promise<string> {
    return await this.#run("exec", host, ...command);
  }

  /** From now on nothing goes from one site to the other but by way of the relay. */
  async cut(): Promise<void> {
    const rules = `table inet cut {
      chain forward {
        type filter hook forward priority 0
        ip saddr != ${RELAYS} ip daddr != ${RELAYS} drop
      }
    }`;
    await this.run("inet", "nft", rules);
  }

  /** Takes the cut back. */
  async mend(): Promise<void> {
    await this.run("inet", "nft", "delete table inet cut");
  }

  /** Begins to count the datagrams that leave both sites for anywhere but the relay. */
  async countStrays(): Promise<void> {
    // Before the filter of a NAT that lets no datagram out: what is tried counts.
    const rules = `table inet strays {
      counter out {}
      chain forward {
        type filter hook forward priority -10
        iifname lan meta l4proto udp ip daddr != ${RELAYS} counter name out
      }
    }`;
    for (const nat of await this.#nats()) await this.run(nat, "nft", rules);
  }

  /** How many there have been. */
  async strays(): Promise<number> {
    let sum = 0;
    for (const nat of await this.#nats()) {
      const listed = await this.run(nat, "nft", "list counter inet strays out");
      sum += Number(/packets (\d+)/.exec(listed)![1]);
    }
    return sum;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    NatLab.#up.delete(this);
    await this.#run("down");
  }

  /** The hosts that stand before `a` and `b`: one where both are behind the same. */
  async #nats(): Promise<NatHost[]> {
    return await this.address("a", "public") === await this.address("b", "public")
      ? ["nata"]
      : ["nata", "natb"];
  }

  async #run(...words: string[]): Promise<string> {
    const command = new Deno.Command(NATLAB, {
      args: ["-n", this.#name, ...words],
      stdin: "null",
    });
    const { success, stdout, stderr } = await command.output();
    const decoder = new TextDecoder();
    if (success) return decoder.decode(stdout);
    throw new Error(`natlab ${words.join(" ")} failed:\n${decoder.decode(stderr)}`);
  }
}
