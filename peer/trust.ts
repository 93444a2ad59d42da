/**
 * Trust on first use: whom a key belongs to is remembered when it is first met, under the peer's
 * name and under the address that was dialled, and must be the same ever after.
 */
import { type Acquaintance, changedKeyError, type KnownPeers, type Whose } from "./known_peers.ts";

export class Trust {
  readonly #known: KnownPeers;

  constructor(known: KnownPeers) {
    this.#known = known;
  }

  /** The keys that are known under a name or address; none where it is new. */
  async keysOf(name: string): Promise<Uint8Array[]> {
    return (await this.#known.find(name)).map(({ key }) => key);
  }

  /**
   * Checks the key of whoever is about to be met, before ours is shown.
   * @param name what was asked for: an address, or a name
   * @throws {IdentityError} if another key is known under it
   */
  async check(name: string, key: Uint8Array, whose: Whose = "Peer"): Promise<void> {
    await this.#refuseChanged(name, key, await this.#known.check(name, key), whose);
  }

  /**
   * Checks a peer's name against its key, once both are proven, and remembers what is new.
   * @param asked what was asked for, if we dialled: an address, or a name
   * @throws {IdentityError} if another key is known under the name
   */
  async admit(name: string, key: Uint8Array, asked: string = name): Promise<void> {
    await this.#refuseChanged(name, key, await this.#known.remember(name, key));
    if (asked === name) return;
    await this.#refuseChanged(asked, key, await this.#known.remember(asked, key));
  }

  async #refuseChanged(
    name: string,
    key: Uint8Array,
    acquaintance: Acquaintance,
    whose: Whose = "Peer",
  ): Promise<void> {
    if (acquaintance !== "changed") return;
    const [known] = await this.#known.find(name);
    throw changedKeyError({ name, known: known?.key ?? key, seen: key, whose }, this.#known.path);
  }
}
