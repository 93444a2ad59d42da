import type { Usage } from "./harness.ts";

/** One file carried from one folder to another, by two processes that speak over loopback. */
export interface Transfer {
  /** Seconds from the sender's start until it has exited and the whole file is at the receiver. */
  wall: number;
  sender: Usage;
  receiver: Usage;
}

/** A program that sends files, ours or a rival. */
export interface Tool {
  name: string;
  /** Carries the file into the folder, under its own name. */
  transfer(source: string, folder: string): Promise<Transfer>;
}
