/** Untrusted text: 1 MB that is designed to make parsing slow, redacted, stripped and escaped. */
import { escapeForTerminal } from "../../src/domain/text/escape.ts";
import { createRedactor } from "../../src/domain/text/redact.ts";
import { stripTerminal } from "../../src/domain/text/terminal-text.ts";
import { toScoreLine, type ScoreLine } from "../line.ts";
import { pickFigure, interleave } from "../rounds.ts";
import type { BenchRow } from "../row.ts";

const BYTES = 1_000_000;
/** Beginnings without ends, which make a careless regular expression read the rest again and again. */
const BAIT = [
  "eyJaaaaaaaa.",
  "-----BEGIN PRIVATE KEY-----\n",
  "-----END PRIVATE KEY-----\n",
  "AAAA\n-----END PRIVATE KEY-----",
  "token=",
  "://a:",
  "sk-",
  "Bearer ",
  "\u001b]",
  "\u001b[1;",
  "a\b",
  "\r ",
  "1:",
  "\u3042",
];

export const textRow: BenchRow = {
  rows: ["text"],
  what: "1 MB of hostile text",
  async measure(world) {
    const { redact } = createRedactor({ values: ["correct/horse+battery=Staple"] });
    const lines: ScoreLine[] = [];
    for (const [what, read] of Object.entries({
      redacted: redact,
      stripped: stripTerminal,
      escaped: escapeForTerminal,
    })) {
      const texts = BAIT.map((bait) => bait.repeat(Math.ceil(BYTES / bait.length)).slice(0, BYTES));
      const worst = { ms: 0, bait: "" };
      const ours = () => {
        let slowest = 0;
        for (const [at, text] of texts.entries()) {
          const from = performance.now();
          read(text);
          const ms = performance.now() - from;
          slowest = Math.max(slowest, ms);
          if (ms > worst.ms) Object.assign(worst, { ms, bait: BAIT[at] });
        }
        return Promise.resolve({ ms: slowest });
      };
      const theirs = () => {
        const from = performance.now();
        for (const text of texts) JSON.stringify(text);
        return Promise.resolve({ ms: (performance.now() - from) / texts.length });
      };
      await ours();
      const samples = await interleave(world.rounds, ours, theirs);
      const options = {
        row: "text",
        what: `1 MB ${what}, the slowest of ${BAIT.length} baits`,
        reference: "JSON.stringify, on average",
        unit: "ms",
        compared: "value",
        target: { atMost: 50 },
        notes: [`slowest: ${JSON.stringify(worst.bait)} over and over`],
        reason: "every position is scanned once for each kind of secret",
      } as const;
      lines.push(toScoreLine(options, pickFigure(samples.ours, "ms"), pickFigure(samples.theirs, "ms")));
    }
    return lines;
  },
};
