/** What is kept on this machine of chats: their history, and what the mesh must remember. */
import { type History, openHistory } from "../history/history.ts";
import { type Host, openHost } from "../host.ts";
import type { Environment } from "../host.ts";
import { openMeshMemory } from "../mesh/memory/open.ts";

/** A host who chats; disposed of, all that is kept is on disk. */
export interface ChattingHost extends Host, AsyncDisposable {}

/**
 * A host, with what is kept of its chats.
 * @param name as `openHost`
 * @param noHistory as `--no-history` says
 * @throws as `openHost`
 */
export async function openChattingHost(
  environment: Environment,
  { name, "no-history": noHistory }: { name: string | undefined; "no-history": boolean },
): Promise<ChattingHost> {
  const history: History | undefined = openHistory(environment.output, noHistory);
  const host = await openHost(environment, name);
  const { output, identity } = host;
  const memory = await openMeshMemory({ key: identity.publicKey, noHistory, output });
  return {
    ...host,
    history,
    memory,
    async [Symbol.asyncDispose]() {
      memory.close();
      await history?.[Symbol.asyncDispose]();
    },
  };
}
