import { looksLikeAddress } from "./address.ts";
import { encodeText } from "./bytes.ts";
import { MAX_NAME_BYTES } from "./limits.ts";

/** A name that is good, or what is wrong with it, to stand behind "Name not usable: ". */
export type CheckedName =
  | { readonly name: string; readonly problem?: undefined }
  | { readonly name?: undefined; readonly problem: string };

// Control characters; those that show nothing, or that turn what follows around (bidi); line and
// paragraph separators; halves of surrogate pairs; the Braille blank, which no property tells
// apart.
const unseen =
  /[\p{Control}\p{Format}\p{Default_Ignorable_Code_Point}\p{Zl}\p{Zp}\p{Surrogate}\u2800]/u;
const spaceAtEnd = /^\s|\s$/u;
// "bob: hello" for a name would look like Bob speaking, "bob (privately)" like what he says to one
// alone, and "p2p" like the program itself.
const speakerLike = /:\s|^p2p$|\(privately\)$/iu;
/** UTF-16 units of text that is looked at: more than any name has, whatever form it is in. */
const MAX_TEXT_UNITS = 4 * MAX_NAME_BYTES;
const TOO_LONG = `it is longer than ${MAX_NAME_BYTES} bytes`;

/**
 * Whether a peer may go by this name (README.md, section 9): what other people see of a peer, and
 * what its key is kept under. Gives it in Unicode's NFC form, so that equal looks are equal text.
 */
export function checkName(text: string): CheckedName {
  // The time that NFC takes grows with the square of the marks on one letter: only short text may come there.
  if (text.length > MAX_TEXT_UNITS) return { problem: TOO_LONG };
  const name = text.normalize("NFC");
  if (name === "") return { problem: "it is empty" };
  if (unseen.test(name)) return { problem: "it has a control or invisible character" };
  if (spaceAtEnd.test(name)) return { problem: "it begins or ends with a space" };
  // Otherwise a peer could call itself like an address, and have its key kept for who is there; and
  // who asks for it by name would be taken to mean an address.
  if (looksLikeAddress(name)) return { problem: "it looks like an address" };
  if (speakerLike.test(name)) return { problem: "it looks like the beginning of a line" };
  if (encodeText(name).length > MAX_NAME_BYTES) return { problem: TOO_LONG };
  return { name };
}
