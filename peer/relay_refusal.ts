import { RefusedError } from "../protocol/errors.ts";

/** What a relay did not do, and why. */
export interface Refused {
  /** As on the wire; one that this version does not know counts as "Full". */
  code: string;
  /** What the relay says to people. */
  text: string;
}

/** Codes after which the relay ends the session. */
const ENDING = new Set(["Password", "Full", "Draining", "Replaced", "Malformed"]);
/** Those that will not be taken back by themselves. */
const LASTING = new Set(["NameTaken", "BadName", "Password", "Malformed"]);
const KNOWN = new Set([...ENDING, ...LASTING, "TooMany", "TooFast"]);

const PASSWORD_HINT = "Give it in P2P_RELAY_PASSWORD, or in a file with --password-file.";
const HINTS: Record<string, string> = {
  NameTaken: "Another key holds it there: take another --name, or wait until it is free.",
  BadName: "Take another --name, of up to 64 bytes.",
  Password: PASSWORD_HINT,
  TooMany: "Wait until others of this network have left, or use another relay.",
  TooFast: "Try again in a moment.",
  Draining: "Try again when it has been started anew.",
  Replaced: "Take another --name here, or end the other.",
  Malformed: "Peer and relay need the same version of p2p.",
};

/** A relay said no. */
export class RelayRefusal extends RefusedError {
  /** Whether the relay ends the control session after it. */
  readonly ends: boolean;
  /** Whether asking again would not help. */
  readonly lasts: boolean;
  /** Whether the same key has registered the name on another connection. */
  readonly replaced: boolean;

  /**
   * @param relay the relay, as people write it
   * @param name the name that we wanted there, if we did
   */
  constructor({ code, text }: Refused, relay: string, name?: string) {
    const why = text === "" ? code : text;
    const whose = name === undefined || !/Name/.test(code) ? "" : ` the name ${name}`;
    super(`The relay ${relay} refused${whose}: ${why}`, {
      hint: HINTS[code] ?? "Try again later, or use another relay.",
    });
    this.ends = ENDING.has(code) || !KNOWN.has(code);
    this.lasts = LASTING.has(code);
    this.replaced = code === "Replaced";
  }
}
