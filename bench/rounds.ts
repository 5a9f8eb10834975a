/** Measures contenders in interleaved rounds, with their order rotated by one each time, and computes medians and quartiles. */

export interface Quartiles {
  readonly low: number;
  readonly median: number;
  readonly high: number;
}

/** The figures of one contender in one round, by name: `p50`, `p99`, `rate`. */
export type Figures = Readonly<Record<string, number>>;
export type Contender = (round: number) => Promise<Figures>;

/** The figures of each round, in the order of the rounds. */
export interface Samples {
  readonly ours: readonly Figures[];
  readonly theirs: readonly Figures[];
}

/** Rotates, so that no contender is always first, when caches are cold, or last, when the disk is busy with the others' writes. */
export async function interleave(rounds: number, ours: Contender, theirs: Contender): Promise<Samples> {
  const samples: { ours: Figures[]; theirs: Figures[] } = { ours: [], theirs: [] };
  const contenders = [
    async (round: number) => samples.ours.push(await ours(round)),
    async (round: number) => samples.theirs.push(await theirs(round)),
  ];
  for (let round = 0; round < rounds; round += 1) {
    for (const contend of rotate(contenders, round)) await contend(round);
  }
  return samples;
}

export function rotate<Item>(items: readonly Item[], by: number): Item[] {
  const at = items.length === 0 ? 0 : by % items.length;
  return [...items.slice(at), ...items.slice(0, at)];
}

export function pickFigure(samples: readonly Figures[], name: string): number[] {
  return samples.map((figures) => {
    const value = figures[name];
    if (value === undefined) throw new Error(`A round did not report its ${name}.`);
    return value;
  });
}

/** Compares figures of the same round, because other load on the machine affected both. */
export function computeRatios(ours: readonly number[], reference: readonly number[]): number[] {
  return pairs(ours, reference).map(([one, other]) => one / other);
}

export function computeDifferences(ours: readonly number[], reference: readonly number[]): number[] {
  return pairs(ours, reference).map(([one, other]) => one - other);
}

export function computeQuartiles(values: readonly number[]): Quartiles {
  return { low: quantile(values, 0.25), median: quantile(values, 0.5), high: quantile(values, 0.75) };
}

/** Interpolates linearly between two values, as most tools do. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  const position = (sorted.length - 1) * share;
  const below = sorted[Math.floor(position)];
  const above = sorted[Math.ceil(position)];
  if (below === undefined || above === undefined) throw new Error("Nothing was measured.");
  return below + (above - below) * (position - Math.floor(position));
}

/** The usual figures of many single times. */
export function computePercentiles(times: readonly number[]): { p50: number; p95: number; p99: number } {
  return { p50: quantile(times, 0.5), p95: quantile(times, 0.95), p99: quantile(times, 0.99) };
}

function pairs(ours: readonly number[], reference: readonly number[]): [number, number][] {
  if (ours.length !== reference.length) throw new Error("Both must have been measured in every round.");
  return ours.map((one, at) => [one, reference[at] ?? Number.NaN]);
}
