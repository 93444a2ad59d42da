/**
 * How a NAT maps (RFC 4787, 4.1), as peers tell each other (README.md, section 12). The values are
 * on the wire.
 */
export const MAPPINGS = ["none", "independent", "sequential", "dependent", "blocked"] as const;
export type Mapping = typeof MAPPINGS[number];
