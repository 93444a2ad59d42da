import {
  IdentityError,
  type P2pError,
  ProtocolError,
  RefusedError,
  UnreachableError,
} from "../protocol/errors.ts";
import { type Goodbye, GoodbyeCode } from "../protocol/session_frame.ts";

/** What the other side's GOODBYE means for us; undefined if all is well. */
export function goodbyeError(goodbye: Goodbye, who: string): P2pError | undefined {
  const said = goodbye.text === "" ? "" : `: ${goodbye.text}`;
  switch (goodbye.code) {
    case GoodbyeCode.done:
    case GoodbyeCode.interrupted:
    case GoodbyeCode.oneTooMany:
      return undefined;
    case GoodbyeCode.unknownSession:
      return new UnreachableError(
        `Lost ${who}: it was started anew and does not know this session`,
      );
    case GoodbyeCode.identityRefused:
      return new IdentityError(`${who} refused this side's identity${said}`, {
        hint:
          "Another key is known there under your name: take another --name, or have them p2p forget it.",
      });
    case GoodbyeCode.busy:
      return new RefusedError(`${who} is busy${said}`, { hint: "Try again later." });
    case GoodbyeCode.sentAway:
      return new RefusedError(`${who} has sent you away${said}`, {
        hint: "You are let in again when p2p was started anew there.",
      });
    default:
      return new ProtocolError(`${who} ended the session${said}`, {
        hint: "Both sides need the same version of p2p.",
      });
  }
}
