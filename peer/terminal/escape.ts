/**
 * Makes text that came from somewhere else safe to show. What could steer a terminal, hide text or
 * reorder it is written out, `\x1b` or `\u202e`; a newline becomes `\n`. Every script and emoji
 * stays as it is.
 */
export function escapeText(text: string): string {
  if (PLAIN.test(text)) return text;
  return text.replace(UNSAFE, writeOut);
}

const PLAIN = /^[\x20-\x7e]*$/;

/**
 * Kept although nobody sees them: one variation selector behind a visible character; a joiner
 * inside an emoji or between the letters of a script that needs it; the flags of England, Scotland
 * and Wales; old Hangul's placeholders.
 */
const KEPT = [
  String
    .raw`\u{1F3F4}\u{E0067}\u{E0062}(?:\u{E0065}\u{E006E}\u{E0067}|\u{E0073}\u{E0063}\u{E0074}|` +
  String.raw`\u{E0077}\u{E006C}\u{E0073})\u{E007F}`,
  String.raw`(?<=[^\p{Cc}\p{Cs}\p{Zl}\p{Zp}\p{Zs}\p{DI}\ufff9-\ufffb])\p{VS}`,
  String
    .raw`(?<=[\p{ExtPict}\p{EMod}]\ufe0f?|(?![\p{sc=Latn}\p{sc=Grek}\p{sc=Cyrl}\p{DI}])[\p{L}\p{M}])` +
  String.raw`[\u200c\u200d](?=\p{ExtPict}|(?!\p{DI})[\p{L}\p{M}])`,
  String.raw`[\u115f\u1160]`,
];
const UNSAFE = new RegExp(
  String.raw`(${KEPT.join("|")})|[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\p{DI}\p{Bidi_C}\ufff9-\ufffb]`,
  "gu",
);

function writeOut(character: string, kept: string | undefined): string {
  if (kept !== undefined) return kept;
  const short = SHORT[character];
  if (short) return short;
  const hex = character.codePointAt(0)!.toString(16);
  if (hex.length <= 2) return `\\x${hex.padStart(2, "0")}`;
  return hex.length <= 4 ? `\\u${hex.padStart(4, "0")}` : `\\u{${hex}}`;
}

const SHORT: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };
