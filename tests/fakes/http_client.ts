/** One HTTP request to a relay, over a line in memory, byte for byte as the test writes it. */
import { ReceiveBuffer } from "../../protocol/framing.ts";
import { serveHttp } from "../../relay/http.ts";
import type { RelayContext } from "../../relay/context.ts";
import { connectionPair, type MemoryConnection } from "./connection_pair.ts";

export interface HttpAnswer {
  status: number;
  headers: Record<string, string>;
  body: string;
}

/** A connection of which a relay has seen that it is HTTP. */
export class HttpClient {
  readonly connection: MemoryConnection;
  /** Resolves when the relay is done with it. */
  readonly served: Promise<void>;

  /** @param chunk bytes that the relay gets in each read, at the most */
  constructor(context: RelayContext, chunk = Infinity) {
    const [near, far] = connectionPair({ chunk: () => chunk });
    this.connection = near;
    this.served = serveHttp(far, new ReceiveBuffer(512), context);
  }

  async send(text: string): Promise<void> {
    await this.connection.write(new TextEncoder().encode(text));
  }

  /** All that is answered until the relay ends the connection. */
  async text(): Promise<string> {
    let text = "";
    for (let bytes = await this.connection.read(); bytes; bytes = await this.connection.read()) {
      text += new TextDecoder().decode(bytes);
    }
    this.connection.close();
    await this.served;
    return text;
  }

  async answer(): Promise<HttpAnswer> {
    return parseAnswer(await this.text());
  }
}

/** Sends a request; resolves to the answer. */
export async function ask(
  context: RelayContext,
  request: string,
  chunk?: number,
): Promise<HttpAnswer> {
  const client = new HttpClient(context, chunk);
  await client.send(request);
  return await client.answer();
}

function parseAnswer(text: string): HttpAnswer {
  const end = text.indexOf("\r\n\r\n");
  const [first, ...lines] = text.slice(0, end).split("\r\n");
  const headers = lines.map((line) => line.split(/: (.*)/).slice(0, 2) as [string, string]);
  return {
    status: Number(first!.split(" ")[1]),
    headers: Object.fromEntries(headers),
    body: text.slice(end + 4),
  };
}
