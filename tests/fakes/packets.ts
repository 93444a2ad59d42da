/** What passes on a device of the NAT laboratory, packet by packet. */
import { LabProcess } from "./lab_process.ts";
import type { NatHost, NatLab } from "./nat_lab.ts";

const SCRIPT = `${import.meta.dirname}/../natlab/packets.py`;

export interface Packet {
  /** Milliseconds since 1970, from the kernel. */
  at: number;
  out: boolean;
  protocol: "udp" | "tcp";
  /** Address and port. */
  source: string;
  target: string;
  /** Bytes of payload. */
  length: number;
  /** The payload's first byte; NaN if there is none. */
  first: number;
  /** TCP's flags. */
  flags: number;
}

export class Packets implements AsyncDisposable {
  readonly #process: LabProcess;

  private constructor(process: LabProcess) {
    this.#process = process;
  }

  /** Begins to note what passes. */
  static async watch(lab: NatLab, host: NatHost, device = "eth0"): Promise<Packets> {
    const process = new LabProcess(lab, host, ["python3", SCRIPT, "watch", device]);
    await untilReady(process);
    return new Packets(process);
  }

  /** Packets so far. */
  get seen(): Packet[] {
    return parse(this.#process.lines);
  }

  /** Waits for one. */
  async until(accepts: (packet: Packet) => boolean, wanted: string): Promise<Packet> {
    return await this.#process.until((lines) => parse(lines).find(accepts), wanted);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process[Symbol.asyncDispose]();
  }
}

/** Begins to answer each probe that passes on a device with forged ones, to both of its ends. */
export async function sprayProbes(lab: NatLab, device: string): Promise<LabProcess> {
  const process = new LabProcess(lab, "inet", ["python3", SCRIPT, "spray", device]);
  await untilReady(process);
  return process;
}

async function untilReady(process: LabProcess): Promise<void> {
  await process.until((lines) => lines.includes("ready") || undefined, "ready");
}

function parse([_ready, ...lines]: string[]): Packet[] {
  return lines.map((line) => {
    const [at, direction, protocol, source, target, length, first, flags] = line.split(" ");
    return {
      at: Number(at) * 1000,
      out: direction === "out",
      protocol: protocol as "udp" | "tcp",
      source: source!,
      target: target!,
      length: Number(length),
      first: parseInt(first!, 16),
      flags: Number(flags),
    };
  });
}
