/**
 * A hostile neighbour: announces names without end, some of them malformed, oversized, leading
 * elsewhere, or somebody else's name. Run as a program, until it is killed:
 *
 *     announcement_flood.ts ADDRESS NAME    our address on the network; the name to take
 */
import { createSocket } from "node:dgram";
import {
  encodeAnnouncement,
  encodeQuery,
  instanceOf,
  MULTICAST_GROUP_IPV4,
  MULTICAST_PORT,
} from "../../protocol/announcement.ts";

/** Datagrams before the others get a turn: some 10,000 a second. */
const BATCH = 100;
const BATCH_MS = 10;

const [address, name] = Deno.args as [string, string];
const socket = createSocket({ type: "udp4", reuseAddr: true });
await new Promise<void>((resolve) => socket.bind(MULTICAST_PORT, "0.0.0.0", resolve));
socket.setMulticastInterface(address);

function datagram(index: number): Uint8Array {
  const id = index.toString(16).padStart(12, "0");
  const claimed = index % 2 === 0 ? name : `x${index}`;
  const key = crypto.getRandomValues(new Uint8Array(32));
  const addresses = [address, "127.0.0.1", "8.8.8.8"];
  const instance = instanceOf(claimed, id);
  const good = encodeAnnouncement({ instance, name: claimed, key, port: 9, addresses });
  switch (index % 5) {
    case 0:
      return crypto.getRandomValues(new Uint8Array(200));
    case 1:
      return new Uint8Array([...good, ...new Uint8Array(1_400)]);
    case 2:
      return encodeQuery([]);
    default:
      return good;
  }
}

console.log("begun");
for (let index = 0;; index += BATCH) {
  for (let each = 0; each < BATCH; each++) {
    socket.send(datagram(index + each), MULTICAST_PORT, MULTICAST_GROUP_IPV4);
  }
  await new Promise((resolve) => setTimeout(resolve, BATCH_MS));
}
