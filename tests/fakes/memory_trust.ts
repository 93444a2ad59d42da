import { KnownPeers } from "../../peer/known_peers.ts";
import { Trust } from "../../peer/trust.ts";
import { equalBytes } from "../../protocol/bytes.ts";
import { IdentityError } from "../../protocol/errors.ts";

/** Trust that remembers without a disk: a test's clock does not wait for disks. */
export class MemoryTrust extends Trust {
  readonly known = new Map<string, Uint8Array>();

  constructor() {
    super(new KnownPeers("/nowhere"));
  }

  override keysOf(name: string): Promise<Uint8Array[]> {
    const key = this.known.get(name);
    return Promise.resolve(key ? [key] : []);
  }

  override check(name: string, key: Uint8Array): Promise<void> {
    const known = this.known.get(name);
    if (!known || equalBytes(known, key)) return Promise.resolve();
    return Promise.reject(new IdentityError(`Peer refused: the key of ${name} has changed`));
  }

  override async admit(name: string, key: Uint8Array, asked = name): Promise<void> {
    for (const each of [name, asked]) {
      await this.check(each, key);
      this.known.set(each, key);
    }
  }
}
