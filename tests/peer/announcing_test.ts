import { assertEquals } from "@std/assert";
import { Announcing } from "../../peer/announcing.ts";
import type { Link } from "../../peer/links.ts";
import { encodeQuery, readAnnouncements } from "../../protocol/announcement.ts";
import { mayBeQuery } from "../../protocol/dns.ts";
import { FakeClock, settled } from "../fakes/clock.ts";
import { linksAt, MulticastNetwork } from "../fakes/multicast_network.ts";

const HERE = "192.168.1.10";
const KEY = new Uint8Array(32).fill(7);

/** Anna, who listens at 192.168.1.10. */
class Rig {
  readonly clock = new FakeClock();
  readonly network = new MulticastNetwork();
  links: Link[] = linksAt(HERE);
  #told = () => {};
  subscribed = 0;

  begin(): Promise<Announcing> {
    return Announcing.begin({
      name: "anna",
      key: KEY,
      port: 8080,
      clock: this.clock,
      open: this.network.at(HERE),
      links: () => this.links,
      network: {
        subscribe: (told) => {
          this.subscribed++;
          this.#told = told;
          return () => this.subscribed--;
        },
      },
    });
  }

  /** The machine is on another network. */
  async move(address: string): Promise<void> {
    this.links = linksAt(address);
    this.#told();
    await settled();
  }

  /** What has been said since this was last asked, without questions. */
  heard(): string[] {
    return this.network.sent.splice(0).filter(({ bytes }) => !mayBeQuery(bytes)).map(
      ({ bytes }) => {
        const { announcements, gone } = readAnnouncements(bytes);
        return announcements.map(({ name, port, addresses }) => `${name} ${addresses} ${port}`)
          .join() + gone.map((instance) => `-${instance.split(" ")[0]}`).join();
      },
    );
  }
}

Deno.test("Announcing tells of us at first, twice, and then only who asks; at last it says farewell", async () => {
  const rig = new Rig();
  const announcing = await rig.begin();
  await settled();
  assertEquals(rig.heard(), [`anna ${HERE} 8080`]);
  await rig.clock.advance(1_000);
  assertEquals(rig.heard(), [`anna ${HERE} 8080`]);
  await rig.clock.advance(100_000);
  assertEquals(rig.heard(), []);
  assertEquals(rig.clock.pending, 0, "who is not asked sleeps");
  rig.network.send(encodeQuery([]), "192.168.1.20");
  await rig.clock.advance(120);
  assertEquals(rig.heard(), [`anna ${HERE} 8080`]);
  await announcing[Symbol.asyncDispose]();
  await announcing[Symbol.asyncDispose]();
  assertEquals(rig.heard(), ["-anna"]);
  assertEquals([rig.network.hearers, rig.subscribed, rig.clock.pending], [0, 0, 0]);
});

Deno.test("Announcing tells its new network of us", async () => {
  const rig = new Rig();
  await using _announcing = await rig.begin();
  await rig.clock.advance(10_000);
  rig.heard();
  await rig.move("192.168.7.7");
  await rig.clock.advance(10_000);
  assertEquals(rig.heard(), ["anna 192.168.7.7 8080", "anna 192.168.7.7 8080"]);
});

Deno.test("Announcing takes the old name back, and tells the new one", async () => {
  const rig = new Rig();
  await using announcing = await rig.begin();
  await rig.clock.advance(10_000);
  rig.heard();
  await announcing.rename("anne");
  await rig.clock.advance(10_000);
  assertEquals(rig.heard(), ["-anna", `anne ${HERE} 8080`, `anne ${HERE} 8080`]);
});

Deno.test("Announcing that ends while an answer is due does not say it after the farewell", async () => {
  const rig = new Rig();
  const announcing = await rig.begin();
  await rig.clock.advance(10_000);
  rig.heard();
  rig.network.send(encodeQuery([]), "192.168.1.20");
  await settled();
  await announcing[Symbol.asyncDispose]();
  await rig.clock.advance(10_000);
  assertEquals(rig.heard(), ["-anna"]);
});
