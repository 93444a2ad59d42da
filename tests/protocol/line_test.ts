import { assertEquals, assertThrows } from "@std/assert";
import { signedBytes } from "../../protocol/line.ts";

const LINE = {
  author: new Uint8Array(32).fill(0xaa),
  instance: Uint8Array.fromHex("0102030405060708"),
  number: 7,
  time: 0x0102_0304_0506,
  name: "bob",
  text: "hü",
};
const BEGINNING = `${"703270206c696e652031"}${"aa".repeat(32)}0102030405060708`;
const END = "000000070102030405060362" + "6f6268c3bc";

Deno.test("signedBytes() of a line to all: context, log, number, time, name, text", () => {
  assertEquals(signedBytes({ ...LINE, channel: 0 }).toHex(), `${BEGINNING}00${END}`);
});

Deno.test("signedBytes() of a line to one alone says to whom", () => {
  const to = new Uint8Array(32).fill(0xdd);
  assertEquals(
    signedBytes({ ...LINE, channel: 1, to }).toHex(),
    `${BEGINNING}01${"dd".repeat(32)}${END}`,
  );
  assertThrows(() => signedBytes({ ...LINE, channel: 1 }), Error, "without that key");
});

Deno.test("signedBytes() tells name and text apart, however they are cut", () => {
  const one = signedBytes({ ...LINE, channel: 0, name: "ab", text: "c" }).toHex();
  const other = signedBytes({ ...LINE, channel: 0, name: "a", text: "bc" }).toHex();
  assertEquals(one === other, false);
});
