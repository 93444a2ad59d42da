import { Listener } from "../../peer/listener.ts";
import type { KeyPair } from "../../protocol/noise.ts";

/** Listens on loopback as somebody who lets anybody in, and says nothing by itself. */
export function openListener(
  { identity, name = "mallory", port = 0 }: { identity: KeyPair; name?: string; port?: number },
): Listener {
  return new Listener({
    host: "127.0.0.1",
    port,
    identity,
    name: () => name,
    admit: () => Promise.resolve(),
  });
}
