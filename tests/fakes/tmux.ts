/** A real terminal for tests: a command in a tmux session of its own. */

export interface TmuxOptions {
  command: readonly string[];
  columns?: number;
  rows?: number;
  env?: Readonly<Record<string, string>>;
}

const DEADLINE_MS = 10_000;
const POLL_MS = 20;
/** Keeps the session after its command ended, so that its last words can be read. */
const KEEP = ["set", "-g", "remain-on-exit", "on", ";", "set", "-g", "status", "off"];

/** Whether tmux is here; says so loudly where it is not, since then tests do not test. */
export async function hasTmux(): Promise<boolean> {
  try {
    return (await new Deno.Command("tmux", { args: ["-V"] }).output()).success;
  } catch {
    console.error("tmux is not installed: THE TERMINAL TESTS DID NOT RUN");
    return false;
  }
}

export class Tmux implements AsyncDisposable {
  readonly #socket = `p2p-test-${crypto.randomUUID()}`;

  private constructor() {}

  /** Starts the command; resolves when the terminal is there. */
  static async start(options: TmuxOptions): Promise<Tmux> {
    const { command, columns = 60, rows = 12, env = {} } = options;
    const tmux = new Tmux();
    const variables = Object.entries(env).flatMap(([name, value]) => ["-e", `${name}=${value}`]);
    const size = ["-x", String(columns), "-y", String(rows)];
    await tmux.#run(
      "-f",
      "/dev/null",
      "start-server",
      ";",
      ...KEEP,
      ";",
      "new-session",
      "-d",
      ...size,
      ...variables,
      ...command,
    );
    return tmux;
  }

  /** Types text as it is. */
  async type(text: string): Promise<void> {
    await this.#run("send-keys", "-l", "--", text);
  }

  /** Presses keys by tmux's names: "Enter", "Up", "C-c". */
  async press(...keys: string[]): Promise<void> {
    await this.#run("send-keys", ...keys);
  }

  async resize(columns: number, rows: number): Promise<void> {
    await this.#run("resize-window", "-x", String(columns), "-y", String(rows));
  }

  /**
   * What the terminal shows, without empty lines at its end; with `history` also what scrolled
   * away, with `colors` also the sequences that colour it.
   */
  async screen(options: { history?: boolean; colors?: boolean } = {}): Promise<string> {
    const from = options.history ? ["-S", "-"] : [];
    const escapes = options.colors ? ["-e"] : [];
    return (await this.#run("capture-pane", "-p", ...from, ...escapes)).trimEnd();
  }

  /**
   * Looks until the terminal shows the text, or what the expression or function accepts; resolves
   * to all that it shows.
   * @throws {Error} with what it shows instead, after 10 s
   */
  async waitFor(wanted: string | RegExp | ((screen: string) => boolean)): Promise<string> {
    return await poll(() => this.screen(), (shown) => accepts(wanted, shown), String(wanted));
  }

  /**
   * Looks until the cursor stands there: column and row from 0.
   * @throws {Error} with where it stands instead, after 10 s
   */
  async waitForCursor([column, row]: [number, number]): Promise<void> {
    const wanted = `${column} ${row}`;
    const format = "#{cursor_x} #{cursor_y}";
    await poll(
      async () => (await this.#run("display-message", "-p", format)).trim(),
      (shown) => shown === wanted,
      `the cursor at ${wanted}`,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#run("kill-server");
  }

  async #run(...args: string[]): Promise<string> {
    const command = new Deno.Command("tmux", { args: ["-u", "-L", this.#socket, ...args] });
    const { success, stdout, stderr } = await command.output();
    if (!success) throw new Error(`tmux failed: ${new TextDecoder().decode(stderr)}`);
    return new TextDecoder().decode(stdout);
  }
}

/** A terminal tells nobody when it has changed: one has to look. */
async function poll(
  look: () => Promise<string>,
  accepted: (seen: string) => boolean,
  wanted: string,
): Promise<string> {
  const deadline = performance.now() + DEADLINE_MS;
  for (;;) {
    const seen = await look();
    if (accepted(seen)) return seen;
    if (performance.now() > deadline) {
      throw new Error(`Terminal does not show ${wanted}. It shows:\n${seen}`);
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

function accepts(wanted: string | RegExp | ((screen: string) => boolean), shown: string): boolean {
  if (typeof wanted === "string") return shown.includes(wanted);
  return wanted instanceof RegExp ? wanted.test(shown) : wanted(shown);
}
