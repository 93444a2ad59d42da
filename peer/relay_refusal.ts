import { RefusedError } from "../protocol/errors.ts";
import { isFinal, REFUSALS } from "../protocol/rendezvous.ts";

/** What a relay did not do, and why. */
export interface Refused {
  /** As on the wire; one that this version does not know counts as "Full". */
  code: string;
  /** What the relay says to people: shown where this version does not know the code. */
  text: string;
  /** The relay, as people write it. */
  relay: string;
  /** The name that we wanted there, if we did. */
  name: string | undefined;
  /** The password that it was given. */
  password: string | undefined;
}

/** Those that will not be taken back by themselves. */
const LASTING = new Set(["NameTaken", "BadName", "Password", "Malformed"]);
const KNOWN: ReadonlySet<string> = new Set(REFUSALS);

type Words = readonly [why: string, hint: string];

/** What is said of each code that is known. */
const WORDS: ReadonlyMap<string, Words> = new Map([
  ["NameTaken", ["another key holds it there", "Take another --name, or wait until it is free."]],
  ["BadName", ["it cannot be a name there", "Take another --name, of up to 64 bytes."]],
  ["Full", ["it is full", "Try again later, or use another relay."]],
  ["TooMany", [
    "it serves too many of your address already",
    "Wait until others of this network have left, or use another relay.",
  ]],
  ["TooFast", ["your address asks too much at a time", "Try again in a moment."]],
  ["Draining", ["it is about to end", "Try again when it has been started anew."]],
  ["Replaced", [
    "the same key has taken this name on another connection",
    "Take another --name here, or end the other.",
  ]],
  ["Malformed", [
    "it did not understand what it was told",
    "Peer and relay need the same version of p2p.",
  ]],
]);

/** A relay said no. */
export class RelayRefusal extends RefusedError {
  /** Whether the relay ends the control session after it. */
  readonly ends: boolean;
  /** Whether asking again would not help. */
  readonly lasts: boolean;
  /** Whether the same key has registered the name on another connection. */
  readonly replaced: boolean;

  constructor(refused: Refused) {
    const { code, relay, name } = refused;
    const [why, hint] = wordsFor(refused);
    const whose = name === undefined || !/Name/.test(code) ? "" : ` the name ${name}`;
    super(`The relay ${relay} refused${whose}: ${why}`, { hint });
    this.ends = isFinal(code) || !KNOWN.has(code);
    this.lasts = LASTING.has(code);
    this.replaced = code === "Replaced";
  }
}

function wordsFor({ code, text, password }: Refused): Words {
  if (code === "Password") {
    const why = password === undefined ? "it has a password" : "the password is wrong";
    return [why, "Give it in P2P_RELAY_PASSWORD, or in a file with --password-file."];
  }
  return WORDS.get(code) ?? [text === "" ? code : text, "Try again later, or use another relay."];
}
