/** What is typed behind a command: a name of somebody here, then the rest. */
export interface Addressed {
  name: string;
  /** "" if there is nothing behind the name. */
  rest: string;
}

/**
 * Takes the name of somebody here off the front. Names may have spaces: the longest that fits is
 * meant; quotes around it are left out.
 * @returns undefined if it begins with nobody's name
 */
export function splitAddressee(names: readonly string[], text: string): Addressed | undefined {
  const longestFirst = [...new Set(names)].sort((one, other) => other.length - one.length);
  for (const name of longestFirst) {
    for (const written of [name, `"${name}"`, `'${name}'`]) {
      const rest = text.slice(written.length);
      if (text.startsWith(written) && /^(\s|$)/.test(rest)) return { name, rest: rest.trimStart() };
    }
  }
  return undefined;
}
