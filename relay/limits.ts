/** What a relay allows, each with its unit. Flags of `p2p relay` change them. */
export interface RelayLimits {
  /** TCP connections at once. */
  maxConnections: number;
  /** Names at once, over all carriers. */
  maxRegistrations: number;
  /** Circuits at once, those that wait for their second end included. */
  maxCircuits: number;
  /** TCP connections of one IP address (IPv6: /64). */
  connectionsPerAddress: number;
  /** Names of one IP address (IPv6: /64). */
  registrationsPerAddress: number;
  /** Messages per second of one IP address, in the long run, and as many new connections. */
  rate: number;
  /** Bytes per second through a circuit, each way; Infinity for no limit. */
  circuitRate: number;
  /** Bytes in a message on a control session or WebSocket. */
  maxMessageBytes: number;
  /** Milliseconds after which a circuit without traffic is closed. */
  idleMs: number;
  /** Milliseconds that circuits may go on after SIGTERM. */
  drainMs: number;
}

/** What holds where no flag says otherwise. */
export const DEFAULT_LIMITS: RelayLimits = {
  maxConnections: 20_000,
  maxRegistrations: 100_000,
  maxCircuits: 1_000,
  connectionsPerAddress: 256,
  registrationsPerAddress: 64,
  rate: 50,
  circuitRate: Infinity,
  maxMessageBytes: 4_096,
  idleMs: 120_000,
  drainMs: 30_000,
};
