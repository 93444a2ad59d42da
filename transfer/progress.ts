/** How far a transfer is. Told for every piece of data; whoever shows it decides how often. */
export interface TransferProgress {
  /** Bytes that are across, those of an earlier try included. */
  bytes: number;
  /** Bytes of all wanted files, undefined if unknown. */
  total: number | undefined;
  /** Bytes that an earlier try had brought across. */
  resumedBytes: number;
  /** The path, in the offer, of the file that is under way. */
  file: string;
}

/** A file or directory, as a whole, that was sent or received. */
export interface TransferItem {
  /** Where it is: the path as given on the sending side, the final path on the receiving one. */
  path: string;
  bytes: number;
}
