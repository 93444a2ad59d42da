import { assertEquals } from "@std/assert";
import { kindAt } from "../../transfer/files.ts";
import { Claims } from "../../transfer/claims.ts";
import { Part } from "../../transfer/part.ts";
import { TemporaryFolder } from "../fakes/temporary_folder.ts";

const OWNER = {
  from: "aaaa-bbbb-cccc-dddd",
  isStale: () => Promise.resolve(false),
  cancel() {},
};
/** Of a hundred tries, six met a lock that a process on its way had kept. */
const TRIES = 500;

/** Starts one process after the other, on a thread of its own, until it is disposed of. */
class Starting implements Disposable {
  readonly #worker: Worker;

  private constructor(worker: Worker) {
    this.#worker = worker;
  }

  /** Resolves when the first has ended. */
  static async begin(): Promise<Starting> {
    const source = `for (;;) {
      await new Deno.Command("true").output();
      self.postMessage("started");
    }`;
    const url = `data:application/javascript,${encodeURIComponent(source)}`;
    const worker = new Worker(url, { type: "module" });
    await new Promise((resolve) => worker.onmessage = resolve);
    return new Starting(worker);
  }

  [Symbol.dispose](): void {
    this.#worker.terminate();
  }
}

Deno.test("A part that was let go of can be had again at once, while processes are started", async () => {
  using folder = new TemporaryFolder();
  using _starting = await Starting.begin();
  const claims = new Claims();
  for (let n = 0; n < TRIES; n++) {
    using part = await Part.claim(folder.path, "film", OWNER, claims);
    part.open();
  }
  assertEquals(kindAt(`${folder.path}/film.p2p-state`), "file");
});
