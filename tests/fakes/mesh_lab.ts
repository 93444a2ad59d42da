/**
 * Machines that all reach each other through one router, as network namespaces of this machine, and
 * what partitions them. Machine n is 10.78.n.2.
 */

/** How what goes between two groups is stopped: silently, or so that both sides notice at once. */
export type Cut = "drop" | "reject with tcp reset";

const BUILD = `set -e
ip netns add $0-hub
ip -n $0-hub link set lo up
ip netns exec $0-hub sh -c 'echo 1 > /proc/sys/net/ipv4/ip_forward'
for n in $(seq 1 $1); do
  ip netns add $0-$n
  ip link add eth0 netns $0-$n type veth peer name m$n netns $0-hub
  ip -n $0-hub addr add 10.78.$n.1/24 dev m$n
  ip -n $0-hub link set m$n up
  ip -n $0-$n addr add 10.78.$n.2/24 dev eth0
  ip -n $0-$n link set lo up
  ip -n $0-$n link set eth0 up
  ip -n $0-$n route add default via 10.78.$n.1
done`;

const REMOVE = `for ns in $0-hub $(seq -f $0-%g 1 $1); do ip netns del $ns || true; done`;

/** Why there can be no lab here; undefined if there can. */
export function noMeshLab(): string | undefined {
  if (Deno.build.os !== "linux") return "it needs Linux";
  if (Deno.uid() !== 0) return "it needs root, for network namespaces";
  for (const program of ["ip", "nft"]) {
    const found = new Deno.Command("sh", { args: ["-c", 'command -v "$0"', program] }).outputSync();
    if (!found.success) return `${program} is missing: apt-get install iproute2 nftables`;
  }
  return undefined;
}

/** Defines a test in a lab of so many machines; where there can be none it is skipped, and says so. */
export function meshTest(name: string, size: number, test: (lab: MeshLab) => Promise<void>): void {
  const reason = noMeshLab();
  if (reason !== undefined) console.error(`SKIPPED: ${name}: ${reason}`);
  Deno.test({
    name,
    ignore: reason !== undefined,
    fn: async () => {
      await using lab = await MeshLab.up(size);
      await test(lab);
    },
  });
}

export class MeshLab implements AsyncDisposable {
  readonly #name: string;
  readonly #size: number;

  private constructor(name: string, size: number) {
    this.#name = name;
    this.#size = size;
  }

  static async up(size: number): Promise<MeshLab> {
    // Tests that run side by side are one process.
    const lab = new MeshLab(`p2p-${crypto.getRandomValues(new Uint8Array(4)).toHex()}`, size);
    try {
      await lab.#shell(BUILD);
    } catch (error) {
      await lab[Symbol.asyncDispose]();
      throw error;
    }
    return lab;
  }

  /** What stands before a program to run it on machine n, from 1 on. */
  on(machine: number): string[] {
    return ["ip", "netns", "exec", `${this.#name}-${machine}`];
  }

  /** The address of machine n. */
  address(machine: number): string {
    return `10.78.${machine}.2`;
  }

  /**
   * From now on nothing goes from one of these groups of machines to another. Those in none reach
   * all. Takes the place of a partition before.
   */
  async partition(groups: readonly (readonly number[])[], how: Cut = "drop"): Promise<void> {
    const rules = groups.flatMap((group, at) =>
      groups.filter((_, other) => other !== at).map((other) => this.#rules(group, other, how))
    );
    const chain = ["type filter hook forward priority 0", ...rules].join("\n");
    await this.#replace(`chain forward {\n${chain}\n}`);
  }

  /** All reach all again. */
  async heal(): Promise<void> {
    await this.#replace("");
  }

  /** Machine n has another address from now on, and the one before no more. */
  async move(machine: number): Promise<void> {
    const script = `set -e
ip -n $0-$1 addr flush dev eth0
ip -n $0-$1 addr add 10.78.$1.3/24 dev eth0
ip -n $0-$1 route add default via 10.78.$1.1`;
    await run("sh", "-c", script, this.#name, String(machine));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#shell(REMOVE);
  }

  #rules(from: readonly number[], to: readonly number[], how: Cut): string {
    const set = (group: readonly number[]) => `{ ${group.map((n) => this.address(n)).join(", ")} }`;
    const between = `ip saddr ${set(from)} ip daddr ${set(to)}`;
    const noticed = how === "drop" ? "" : `${between} meta l4proto tcp ${how}\n`;
    return `${noticed}${between} drop`;
  }

  async #replace(chain: string): Promise<void> {
    // One transaction: there is no moment between two partitions.
    const rules = `table inet cut\ndelete table inet cut\ntable inet cut {\n${chain}\n}`;
    await run("ip", "netns", "exec", `${this.#name}-hub`, "nft", rules);
  }

  async #shell(script: string): Promise<void> {
    await run("sh", "-c", script, this.#name, String(this.#size));
  }
}

async function run(program: string, ...args: string[]): Promise<void> {
  const command = new Deno.Command(program, { args, stdin: "null" });
  const { success, stderr } = await command.output();
  if (success) return;
  throw new Error(`${[program, ...args].join(" ")} failed:\n${new TextDecoder().decode(stderr)}`);
}
