/**
 * What a handshake message carries: e, s public keys; two letters a shared secret; psk a known one.
 */
export type Token = "e" | "s" | "ee" | "es" | "se" | "ss" | "psk";

/** Who sends what in a handshake. The initiator sends the messages at even indices. */
export interface Pattern {
  /** Whether the initiator knows the responder's static key beforehand. */
  readonly responderKnown: boolean;
  readonly messages: readonly (readonly Token[])[];
}

/** Noise's patterns (revision 34, section 7.5): those that published vectors check here. */
const patterns: Record<string, Pattern> = {
  NN: { responderKnown: false, messages: [["e"], ["e", "ee"]] },
  XX: { responderKnown: false, messages: [["e"], ["e", "ee", "s", "es"], ["s", "se"]] },
  IK: { responderKnown: true, messages: [["e", "es", "s", "ss"], ["e", "ee", "se"]] },
};

/**
 * The pattern that a protocol name means, for instance "Noise_XXpsk3_25519_ChaChaPoly_SHA256".
 * @throws {RangeError} if the name is not one that is built here
 */
export function patternOf(protocolName: string): Pattern {
  const match = /^Noise_([A-Z]+)(?:psk(\d))?_25519_ChaChaPoly_SHA256$/.exec(protocolName);
  const pattern = patterns[match?.[1] ?? ""];
  const position = match?.[2];
  if (pattern === undefined || Number(position ?? 0) > pattern.messages.length) {
    throw new RangeError(`Handshake not begun: ${protocolName} is not built here`);
  }
  return position === undefined ? pattern : withPsk(pattern, Number(position));
}

/** Section 9.2: psk0 stands before all else in the first message, pskN at the end of message N. */
function withPsk(pattern: Pattern, position: number): Pattern {
  const messages = pattern.messages.map((tokens, index): readonly Token[] => {
    if (position === 0 && index === 0) return ["psk", ...tokens];
    return index === position - 1 ? [...tokens, "psk"] : tokens;
  });
  return { ...pattern, messages };
}
