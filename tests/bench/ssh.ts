import { type Child, freePort, type Harness, requirePrograms, secondsSince } from "./harness.ts";
import type { Transfer } from "./tool.ts";

const SFTP_SERVERS = [
  "/usr/lib/openssh/sftp-server",
  "/usr/lib/ssh/sftp-server",
  "/usr/libexec/openssh/sftp-server",
  "/usr/libexec/sftp-server",
];
const SSHD = "/usr/sbin/sshd";

/**
 * A throw-away ssh server for the current user: own keys, own port on loopback, own configuration.
 */
export class Ssh {
  readonly #harness: Harness;
  readonly #port = freePort();

  private constructor(harness: Harness) {
    this.#harness = harness;
  }

  static async create(harness: Harness): Promise<Ssh> {
    await requirePrograms(["ssh", "scp", "ssh-keygen", SSHD], "openssh-client openssh-server");
    const ssh = new Ssh(harness);
    await Deno.mkdir(ssh.#file(""), { recursive: true });
    await ssh.#makeKeys();
    await Deno.writeTextFile(ssh.#file("config"), await ssh.#configuration());
    // As root, sshd locks a helper process into this folder; packages make it when the service
    // starts.
    if (Deno.uid() === 0) await Deno.mkdir("/run/sshd", { recursive: true });
    return ssh;
  }

  /** Starts the server; every session's processes count as its own, as it waits for them. */
  async serve(): Promise<Child> {
    const words = [SSHD, "-D", "-f", this.#file("config"), "-E", this.#file("log")];
    const server = this.#harness.start(words, { server: true });
    await server.listening(this.#port);
    return server;
  }

  /** The command that runs a shell command on the other side. */
  ssh(remoteCommand: string): string[] {
    return ["ssh", ...this.#options("-p"), "127.0.0.1", remoteCommand];
  }

  /** The command that copies a file to the other side. */
  scp(source: string, target: string, words: string[] = []): string[] {
    return ["scp", "-q", ...this.#options("-P"), ...words, source, `127.0.0.1:${target}`];
  }

  /**
   * Copies a file with scp. The sender is scp and the ssh that it waits for; the receiver is a
   * server of its own, with its session and sftp-server.
   */
  async copy(source: string, folder: string, words: string[]): Promise<Transfer> {
    const server = await this.serve();
    const started = performance.now();
    const sender = await this.#harness.start(this.scp(source, folder, words)).finished();
    const wall = secondsSince(started);
    return { wall, sender, receiver: await server.stop() };
  }

  async #makeKeys(): Promise<void> {
    for (const name of ["host", "user"]) {
      const words = ["-q", "-t", "ed25519", "-N", "", "-C", name, "-f", this.#file(name)];
      await this.#harness.run(["ssh-keygen", ...words]);
    }
    const hostKey = await Deno.readTextFile(this.#file("host.pub"));
    await Deno.writeTextFile(this.#file("known_hosts"), `[127.0.0.1]:${this.#port} ${hostKey}`);
  }

  async #configuration(): Promise<string> {
    return [
      `Port ${this.#port}`,
      "ListenAddress 127.0.0.1",
      `HostKey ${this.#file("host")}`,
      `AuthorizedKeysFile ${this.#file("user.pub")}`,
      `PidFile ${this.#file("pid")}`,
      "PermitRootLogin prohibit-password",
      "PasswordAuthentication no",
      "StrictModes no",
      "UsePAM no",
      `Subsystem sftp ${await sftpServer()}`,
      "",
    ].join("\n");
  }

  #options(portFlag: "-p" | "-P"): string[] {
    const settings = [
      `IdentityFile=${this.#file("user")}`,
      "IdentitiesOnly=yes",
      `UserKnownHostsFile=${this.#file("known_hosts")}`,
      "GlobalKnownHostsFile=/dev/null",
      "StrictHostKeyChecking=yes",
      "BatchMode=yes",
    ];
    const words = settings.flatMap((setting) => ["-o", setting]);
    return ["-F", "/dev/null", portFlag, String(this.#port), ...words];
  }

  #file(name: string): string {
    return this.#harness.path(`ssh/${name}`);
  }
}

async function sftpServer(): Promise<string> {
  for (const path of SFTP_SERVERS) {
    if (await isThere(path)) return path;
  }
  return "internal-sftp";
}

async function isThere(path: string): Promise<boolean> {
  try {
    await Deno.stat(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
