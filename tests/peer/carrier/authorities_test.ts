import { assertEquals } from "@std/assert";
import { makeTlsIdentity, type TlsIdentity, toPem } from "../../../peer/carrier/tls_certificate.ts";
import { TemporaryFolder } from "../../fakes/temporary_folder.ts";

const CLIENT = new URL("../../fakes/tls_client.ts", import.meta.url).pathname;

/** A TLS server on loopback that says one byte to whoever believes it. */
class Server implements AsyncDisposable {
  readonly #listener: Deno.TlsListener;
  readonly #served: Promise<void>;

  constructor({ certificate, privateKey }: TlsIdentity) {
    this.#listener = Deno.listenTls({
      hostname: "127.0.0.1",
      port: 0,
      cert: toPem(certificate),
      key: String(privateKey.export({ format: "pem", type: "pkcs8" })),
    });
    this.#served = this.#serve();
  }

  get port(): number {
    return this.#listener.addr.port;
  }

  async #serve(): Promise<void> {
    // The listener's end ends it.
    for await (const connection of this.#listener) {
      await connection.write(Uint8Array.of(1)).catch(() => {});
      connection.close();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    await this.#served;
  }
}

/** What a process says that is handed one certificate, where the environment names another. */
async function clientSays(
  environment: (foreignFile: string) => Record<string, string>,
  authorities: "any" | "none" | "late",
): Promise<string> {
  using folder = new TemporaryFolder();
  const [own, foreign] = [makeTlsIdentity(), makeTlsIdentity()];
  await using ownServer = new Server(own);
  await using foreignServer = new Server(foreign);
  const inherited = { ...Deno.env.toObject() };
  for (const name of VARIABLES) delete inherited[name];
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "--quiet", "--no-check", "-A", CLIENT, own.certificate.toHex(), authorities],
      ...[ownServer.port, foreignServer.port].map(String),
    ],
    clearEnv: true,
    env: {
      ...inherited,
      // It would use TLS.
      DENO_NO_UPDATE_CHECK: "1",
      ...environment(folder.file("foreign.pem", toPem(foreign.certificate))),
    },
    stderr: "inherit",
  }).output();
  return new TextDecoder().decode(stdout).trim().replaceAll("\n", " ");
}

const VARIABLES = ["DENO_CERT", "NODE_EXTRA_CA_CERTS", "DENO_TLS_CA_STORE", "SSL_CERT_FILE"];

const ENVIRONMENTS: Record<string, (foreignFile: string) => Record<string, string>> = {
  DENO_CERT: (file) => ({ DENO_CERT: file }),
  NODE_EXTRA_CA_CERTS: (file) => ({ NODE_EXTRA_CA_CERTS: file }),
  DENO_TLS_CA_STORE: (file) => ({ DENO_TLS_CA_STORE: "system", SSL_CERT_FILE: file }),
};

for (const [name, environment] of Object.entries(ENVIRONMENTS)) {
  Deno.test(`TLS's client believes the certificate that it was handed, and none that ${name} names`, async () => {
    // So the runtime has it: it would be believed.
    assertEquals(await clientSays(environment, "any"), "true true");
    assertEquals(await clientSays(environment, "none"), "true true false");
  });
}

Deno.test("authorities that the runtime has found before are not taken away, which is said", async () => {
  assertEquals(await clientSays(ENVIRONMENTS.NODE_EXTRA_CA_CERTS!, "late"), "false true true");
});
