/**
 * A peer at a relay that tells addresses which are not its own: registers under a name, or asks for
 * one, and does nothing of what would follow.
 *
 *     deno run -A liar.ts RELAY register|ask NAME FIELDS
 *
 * FIELDS is JSON, of a Register or Connect. Prints each message of the relay as JSON.
 */
import { ControlClient } from "../fakes/control_client.ts";
import { encodeText } from "../../protocol/bytes.ts";

const [relay, what, name, fields] = Deno.args;
using client = await ControlClient.connect(relay!);
const message = what === "ask"
  ? { Connect: { target_username: name, ...JSON.parse(fields!) } }
  : { Register: { username: name, ...JSON.parse(fields!) } };
await client.sendRaw(encodeText(`${JSON.stringify(message)}\n`));
for (let answer; (answer = await client.receive()) !== null;) {
  console.log(JSON.stringify(answer));
}
