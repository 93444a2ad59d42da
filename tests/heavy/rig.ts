/** Two machines, as far as p2p can see: each side's settings, and the folder that files arrive in. Gone after the test. */
import { Program } from "../fakes/program.ts";
import { TemporaryFolder } from "../fakes/temporary_folder.ts";

export class Rig implements Disposable {
  readonly #folder = new TemporaryFolder();
  /** Where the listener keeps what it receives. */
  readonly incoming: string = this.#folder.folder("incoming");

  /** The path of what has this name, beside the incoming folder. */
  path(name: string): string {
    return this.#folder.join(name);
  }

  /** Where this arrives. */
  received(name: string): string {
    return `${this.incoming}/${name}`;
  }

  /** Starts a listener that takes everything; resolves when it can be reached. Port 0 picks a free one. */
  async listen(port = 0): Promise<{ listener: Program; port: number }> {
    const words = ["listen", "--host", "127.0.0.1", "--port", String(port), "--name", "alice"];
    words.push("--dir", this.incoming, "--yes", "--json");
    const listener = Program.start(words, { config: this.#folder.join("alice") });
    const { address } = await listener.until("listening");
    return { listener, port: Number(address.split(":").at(-1)) };
  }

  /** Starts a listener that writes a stream to a file. */
  listenForStream(file: string): Program {
    const words = ["listen", "--host", "127.0.0.1", "--port", "0", "--name", "alice", "--stdout"];
    const before = ["sh", "-c", 'exec "$@" > "$0"', file];
    return Program.start(words, { config: this.#folder.join("alice"), before });
  }

  /** Starts a sender. */
  send(address: string, ...paths: string[]): Program {
    const words = ["send", "--address", address, "--name", "bob", "--json", ...paths];
    return Program.start(words, { config: this.#folder.join("bob") });
  }

  /** Joins the listener for chat. */
  connect(address: string): Program {
    const words = ["connect", address, "--name", "bob", "--json"];
    return Program.start(words, { config: this.#folder.join("bob") });
  }

  [Symbol.dispose](): void {
    this.#folder[Symbol.dispose]();
  }
}
