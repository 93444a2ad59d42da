import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { Output } from "../../../peer/output.ts";
import {
  Progress,
  type ProgressState,
  renderProgress,
  summarise,
} from "../../../peer/terminal/progress.ts";
import { RateMeter } from "../../../peer/terminal/rate_meter.ts";
import type { Screen, StatusLine } from "../../../peer/terminal/screen.ts";
import { textWidth } from "../../../peer/terminal/width.ts";

const FILM: ProgressState = {
  name: "film.mkv",
  bytes: 434e6,
  total: 700e6,
  rate: 93e6,
  path: "direct",
};

Deno.test("renderProgress() says less where there is less room", () => {
  const table: [number, string][] = [
    [79, "film.mkv  ██████████████░░░░░░░░░░   62%  434/700 MB   93 MB/s  0:03  direct"],
    [60, "film.mkv  ████░░░░   62%  434/700 MB   93 MB/s  0:03  direct"],
    [50, "film.mkv   62%  434/700 MB   93 MB/s  0:03  direct"],
    [45, "film.mkv   62%  434/700 MB   93 MB/s  direct"],
    [35, "film.mkv   62%  434/700 MB  direct"],
    [26, "film.mkv   62%  direct"],
    [20, "film.mkv   62%"],
    [6, " 62%"],
  ];
  for (const [columns, line] of table) assertEquals(renderProgress(FILM, columns), line);
});

Deno.test("renderProgress() does without what is not known", () => {
  const stream = { ...FILM, name: "standard input", total: undefined };
  assertEquals(renderProgress(stream, 79), "standard input  434 MB   93 MB/s  direct");
  const start = { ...FILM, bytes: 0, rate: undefined };
  assertEquals(
    renderProgress(start, 79),
    "film.mkv  ░░░░░░░░░░░░░░░░░░░░░░░░    0%  0/700 MB  direct",
  );
  const empty = { ...FILM, bytes: 0, total: 0 };
  assert(renderProgress(empty, 79).includes("100%"));
});

Deno.test("renderProgress() shows 100% only when all is there", () => {
  assert(renderProgress({ ...FILM, bytes: 700e6 - 1 }, 79).includes(" 99%"));
  assert(renderProgress({ ...FILM, bytes: 700e6 }, 79).includes("100%"));
});

Deno.test("renderProgress() never exceeds the width, nor lets a name steer the terminal", () => {
  const state = fc.record({
    name: fc.string({ unit: "binary" }),
    bytes: fc.nat(),
    total: fc.option(fc.nat(), { nil: undefined }),
    rate: fc.option(fc.double({ min: 0, max: 1e12, noNaN: true }), { nil: undefined }),
    path: fc.constantFrom("lan", "direct", "punched", "relayed"),
  });
  fc.assert(fc.property(state, fc.nat(130), (state: ProgressState, columns: number) => {
    const line = renderProgress(state, columns);
    assert(textWidth(line) <= columns);
    assert(!/[\p{Cc}\p{Bidi_Control}]/u.test(line));
  }));
});

Deno.test("summarise() says what, how much, how fast and which way", () => {
  const film = { name: "film.mkv", verb: "sent", bytes: 700e6, ms: 7_500, path: "direct" } as const;
  assertEquals(
    summarise({ ...film, resumed: 0 }),
    "film.mkv sent: 700 MB in 7.5 s (93 MB/s), direct",
  );
  assertEquals(
    summarise({ ...film, resumed: 400e6 }),
    "film.mkv sent: 700 MB in 7.5 s (40 MB/s), resumed at 400 MB, direct",
  );
});

Deno.test("RateMeter follows a change slowly and tells nothing too early", () => {
  let time = 0;
  const meter = new RateMeter(() => time, 1_000_000);
  let bytes = 1_000_000;
  function run(ms: number, bytesPerSecond: number): number | undefined {
    for (const end = time + ms; time < end;) {
      time += 100;
      bytes += bytesPerSecond / 10;
      meter.update(bytes);
    }
    return meter.bytesPerSecond;
  }
  assertEquals(run(200, 5_000), undefined);
  assertEquals(run(5_000, 5_000), 5_000);
  const afterOneSecond = run(1_000, 0)!;
  assert(afterOneSecond > 3_000 && afterOneSecond < 4_000, String(afterOneSecond));
  assert(run(20_000, 0)! < 10);
});

/** A screen that remembers its status line. */
class FakeScreen {
  shown: string[] = [];
  removed = 0;
  readonly printed: string[] = [];
  #printed = Promise.withResolvers<void>();

  print(text: string): void {
    this.printed.push(text);
    this.#printed.resolve();
  }

  /** Resolves when so many lines were printed. */
  async prints(count: number): Promise<void> {
    while (this.printed.length < count) {
      this.#printed = Promise.withResolvers();
      await this.#printed.promise;
    }
  }

  status(): StatusLine {
    return {
      update: (render) => void this.shown.push(render(79)),
      remove: () => void this.removed++,
    };
  }
}

function create(options: { json?: boolean; quiet?: boolean }) {
  const screen = new FakeScreen();
  const output = new Output(options);
  output.screen = screen as unknown as Screen;
  const clock = { time: 0 };
  const film = { name: "film.mkv", total: 1_000, path: "lan", fields: { id: 1 } } as const;
  const progress = new Progress(output, { ...film, now: () => clock.time });
  return { progress, screen, clock };
}

Deno.test("Progress draws at most every 100 ms, and takes its line away once", () => {
  const { progress, screen, clock } = create({});
  for (; clock.time < 1_000; clock.time += 10) progress.update(clock.time);
  assertEquals(screen.shown.length, 10);
  assert(screen.shown.at(-1)!.includes("0.9/1 kB"));
  progress.change({ path: "relayed" });
  progress.update(1_000);
  assert(screen.shown.at(-1)!.endsWith("relayed"));
  assertEquals(progress.finish("received"), "film.mkv received: 1 kB in 1.0 s (1 kB/s), relayed");
  progress.close();
  assertEquals([screen.removed, screen.printed], [1, []]);
});

Deno.test("Progress draws nothing with quiet: true", () => {
  const { progress, screen } = create({ quiet: true });
  progress.update(10);
  assertEquals(screen.shown, []);
});

Deno.test("Progress prints events with json: true, at most every 100 ms", () => {
  const { progress, screen, clock } = create({ json: true, quiet: true });
  for (; clock.time < 250; clock.time += 10) progress.update(clock.time);
  assertEquals(
    screen.printed.map((line) => JSON.parse(line)),
    [0, 100, 200].map((bytes) => ({ event: "progress", bytes, total: 1_000, id: 1 })),
  );
  assertEquals(screen.shown, []);
  progress.close();
});

Deno.test("Progress shows a little later what came too soon, lest it stop there", async () => {
  const { progress, screen } = create({ json: true, quiet: true });
  progress.update(10);
  progress.update(20);
  await screen.prints(2);
  assertEquals(screen.printed.map((line) => JSON.parse(line).bytes), [10, 20]);
  progress.close();
});
