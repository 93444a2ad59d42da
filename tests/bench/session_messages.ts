/**
 * Messages over our sessions: encrypted, acknowledged, with keys compared with those that are
 * known, as `connect` has them.
 */
import { parseAddress } from "../../protocol/address.ts";
import { dialSession } from "../../peer/dialer.ts";
import { configFolder } from "../../peer/folders.ts";
import { loadIdentity } from "../../peer/identity.ts";
import { KnownPeers } from "../../peer/known_peers.ts";
import { Listener } from "../../peer/listener.ts";
import { AddressRoute } from "../../peer/route.ts";
import type { Session } from "../../peer/session.ts";
import { Trust } from "../../peer/trust.ts";
import { CHAT_KIND } from "../../protocol/chat.ts";
import type { ByteStream } from "../../protocol/connection.ts";
import { type Carrier, type Pipe, runMessagePair } from "./message_pair.ts";

const folder = configFolder((name) => Deno.env.get(name));
const identity = await loadIdentity(folder);
const trust = new Trust(new KnownPeers(folder));

const sessions: Carrier = {
  listen(serve) {
    const listener = new Listener({
      host: "127.0.0.1",
      port: 0,
      identity,
      name: () => "server",
      admit: (name, key) => trust.admit(name, key),
    });
    serveAll(listener, serve);
    return Promise.resolve(`127.0.0.1:${listener.port}`);
  },
  async connect(address) {
    const { signal } = new AbortController();
    const route = new AddressRoute(parseAddress(address), { identity, trust });
    const session = await dialSession(route, { name: "client", signal });
    return pipeOf(session.open(CHAT_KIND, "urgent"), () => session.end());
  },
};

async function serveAll(listener: Listener, serve: (pipe: Pipe) => Promise<void>): Promise<void> {
  for await (const session of listener.sessions) serveSession(session, serve);
}

async function serveSession(
  session: Session,
  serve: (pipe: Pipe) => Promise<void>,
): Promise<void> {
  const stream = await session.accept();
  await serve(pipeOf(stream!, () => {})).catch((error) => {
    // The client ends its session when it has what it wanted.
    if (!session.over) throw error;
  });
}

function pipeOf(stream: ByteStream, close: () => void | Promise<void>): Pipe {
  return { read: () => stream.read(), write: (bytes) => stream.write(bytes), close };
}

await runMessagePair(sessions);
