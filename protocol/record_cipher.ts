/** What a secure connection's records go through, one for each direction. */
import { placeBytes } from "./bytes.ts";

export interface RecordCipher {
  /** Bytes that a record has more than its content. */
  readonly overhead: number;
  /** Places the parts as one record into `into`, from `offset` on; returns its length. */
  seal(parts: readonly Uint8Array[], into: Uint8Array, offset: number): number;
  /**
   * The content of the next record: fresh, the caller's, the only view of its buffer.
   * @throws {ProtocolError} if it is not what the other side sealed
   */
  open(record: Uint8Array): Uint8Array;
  /** Forgets the key, if there is one. */
  clear(): void;
}

/** Records as they are: for where the connection below seals whatever it carries. */
export const UNSEALED: RecordCipher = {
  overhead: 0,
  seal: (parts, into, offset) => placeBytes(parts, into, offset) - offset,
  open: (record) => record.slice(),
  clear() {},
};
