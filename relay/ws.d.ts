/** Of the npm package ws, what the relay uses. */
import type { Duplex } from "node:stream";

export interface WebSocketServerOptions {
  noServer: true;
  /** Whether to keep a set of all WebSockets. */
  clientTracking: boolean;
  perMessageDeflate: false;
  /** Bytes in a message. */
  maxPayload: number;
  maxFragments: number;
  /** Pieces of a frame, as they were read, that are kept until it is whole. */
  maxBufferedChunks: number;
  /** Whether a ping is answered by itself, however many come. */
  autoPong: boolean;
  /** Milliseconds that the other side has to close, too. */
  closeTimeout: number;
}

/** What a WebSocket handshake looks at of an HTTP request. */
export interface UpgradeRequest {
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
}

export class WebSocketServer {
  constructor(options: WebSocketServerOptions);
  handleUpgrade(
    request: UpgradeRequest,
    stream: Duplex,
    head: Uint8Array,
    upgraded: (socket: WebSocket) => void,
  ): void;
}

export class WebSocket {
  /** Bytes that were sent and have not reached the stream's other end. */
  readonly bufferedAmount: number;
  on(event: "message", listener: (bytes: Uint8Array, isBinary: boolean) => void): this;
  on(event: "ping" | "pong", listener: (bytes: Uint8Array) => void): this;
  on(event: "error", listener: (error: Error) => void): this;
  send(text: string, sent: () => void): void;
  ping(): void;
  pong(bytes: Uint8Array, mask: false, sent: () => void): void;
  pause(): void;
  resume(): void;
  close(code: number): void;
  terminate(): void;
}
