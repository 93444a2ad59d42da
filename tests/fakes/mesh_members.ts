/** Members of a mesh that tests speak of. */
import type { KeyedMember } from "../../protocol/member.ts";

/**
 * A member.
 * @param fill every byte of its key
 * @param given what is otherwise than usual; `began` is the last byte of its instance
 */
export function member(
  fill: number,
  { began = 0, ...given }: Partial<KeyedMember> & { began?: number } = {},
): KeyedMember {
  const instance = new Uint8Array(8);
  instance[7] = began;
  return {
    key: new Uint8Array(32).fill(fill),
    instance,
    signingKey: new Uint8Array(32).fill(fill + 100),
    name: `member${fill}`,
    addresses: [{ host: `192.168.1.${fill}`, port: 8080 }],
    relay: undefined,
    ...given,
  };
}
