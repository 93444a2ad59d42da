/** Under which names members are shown here: no two under the same, whatever they call themselves. */
import { encodeText } from "./bytes.ts";
import { MAX_NAME_BYTES } from "./limits.ts";

/** Who is shown under a name. */
interface Holder {
  readonly id: string;
  name: string;
  /** Whether its key is the one that is known here under this name. */
  known: boolean;
}

/** Under which name somebody is shown, and who had it until now and goes by another. */
export interface Shown {
  readonly name: string;
  readonly displaced?: { readonly id: string; readonly name: string };
}

export class ShownNames {
  readonly #holders = new Map<string, Holder>();
  #own: string;

  /** @param own what we are called ourselves */
  constructor(own: string) {
    this.#own = own;
  }

  /** From now on we go by another name. */
  renameUs(own: string): void {
    this.#own = own;
  }

  /** The name under which somebody is shown; undefined if it is not here. */
  of(id: string): string | undefined {
    return this.#holders.get(id)?.name;
  }

  /** Whether a name, or one that looks like it, is ours or somebody's, `except` whom it may be. */
  isTaken(name: string, except?: string): boolean {
    return isSame(name, this.#own) || this.#holderOf(name, except) !== undefined;
  }

  /**
   * The name under which somebody is shown from now on: the one that it wants, or `NAME-2` or the
   * next that is free. Who has a name keeps it, unless the newcomer alone is known under it.
   * @param id of its session
   * @param known whether its key is the one that is known here under that name
   */
  take(id: string, wanted: string, known: boolean): Shown {
    const holder = this.#holderOf(wanted, id);
    const displaces = holder !== undefined && known && !holder.known && !isSame(wanted, this.#own);
    if (!this.isTaken(wanted, id) || displaces) {
      this.#holders.set(id, { id, name: wanted, known });
      if (!displaces) return { name: wanted };
      Object.assign(holder, { name: this.suggest(wanted), known: false });
      return { name: wanted, displaced: { id: holder.id, name: holder.name } };
    }
    this.#holders.delete(id);
    const name = this.suggest(wanted);
    this.#holders.set(id, { id, name, known: false });
    return { name };
  }

  /** Another session is that of the same member. */
  move(from: string, to: string): void {
    const holder = this.#holders.get(from);
    if (!holder) return;
    this.#holders.delete(from);
    this.#holders.set(to, { ...holder, id: to });
  }

  /** Somebody is no longer here. */
  release(id: string): void {
    this.#holders.delete(id);
  }

  /**
   * `NAME-2`, or the next number that nobody has; behind as much of the name as leaves it within 64
   * bytes. What ends in such a number is counted on.
   * @param isTaken whether a name is somebody's who is not here
   */
  suggest(name: string, isTaken: (name: string) => boolean = () => false): string {
    const { base, number: last } = numbered(name);
    for (let number = last + 1;; number++) {
      const suggestion = withSuffix(base, `-${number}`);
      if (!this.isTaken(suggestion) && !isTaken(suggestion)) return suggestion;
    }
  }

  #holderOf(name: string, except?: string): Holder | undefined {
    return [...this.#holders.values()].find((each) =>
      each.id !== except && isSame(each.name, name)
    );
  }
}

/** Whether two names are the same but for a number behind one, or both, that somebody was told to take. */
export function isSameButForNumber(one: string, other: string): boolean {
  return isSame(numbered(one).base, numbered(other).base);
}

/** Whether it is what somebody of that name may be told to take instead, where the name is taken. */
export function isSuggestionFor(name: string, suggestion: string): boolean {
  const { number } = numbered(suggestion);
  return number > 1 && isSame(withSuffix(numbered(name).base, `-${number}`), suggestion);
}

/** What stands before `-2`, and the 2; 1 where there is no number. */
function numbered(name: string): { base: string; number: number } {
  const [, base = name, number = "1"] = /^(.+)-([1-9]\d{0,3})$/su.exec(name) ?? [];
  return { base, number: Number(number) };
}

/** Whether two names are, or look, the same but for the size of their letters. */
function isSame(one: string, other: string): boolean {
  return fold(one) === fold(other);
}

/** Compatibility forms (wide, styled letters) look like the plain ones; so do several spaces like one. */
function fold(name: string): string {
  return name.normalize("NFKC").toLowerCase().normalize("NFKC").replace(/\s+/gu, " ");
}

function withSuffix(base: string, suffix: string): string {
  let name = "";
  for (const character of base) {
    if (encodeText(name + character + suffix).length > MAX_NAME_BYTES) break;
    name += character;
  }
  return name + suffix;
}
