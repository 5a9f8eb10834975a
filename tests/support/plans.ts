/**
 * How PostgreSQL would find the rows of a statement: each is explained before it is run, and its changes are rolled
 * back.
 */
import { z } from "zod";
import { sql, type Tx } from "../../src/store/sql.ts";
import type { Store } from "../../src/store/store.ts";
import type { Principal } from "../../src/store/principal.ts";

const Explained = z.object({ "QUERY PLAN": z.array(z.looseObject({ Plan: z.looseObject({}) })) });
type PlanNode = Record<string, unknown>;

/** Runs `ask` on a transaction that explains each statement before it runs it. */
export async function explainStatements(
  store: Store,
  principal: Principal,
  work: (tx: Tx) => Promise<unknown>,
): Promise<PlanNode[]> {
  const plans: PlanNode[] = [];
  await store
    .transaction(principal, async (real) => {
      const explain = async (strings: TemplateStringsArray, slots: readonly unknown[]) => {
        const { "QUERY PLAN": plan } = await real.one(Explained)`explain (format json) ${sql(strings, ...slots)}`;
        plans.push(...plan.map((one) => one.Plan));
      };
      const tx: Tx = {
        many:
          (shape) =>
          async (strings, ...slots) => {
            await explain(strings, slots);
            return real.many(shape)(strings, ...slots);
          },
        maybeOne:
          (shape) =>
          async (strings, ...slots) => {
            await explain(strings, slots);
            return real.maybeOne(shape)(strings, ...slots);
          },
        one:
          (shape) =>
          async (strings, ...slots) => {
            await explain(strings, slots);
            return real.one(shape)(strings, ...slots);
          },
        run: async (strings, ...slots) => {
          await explain(strings, slots);
          return 0;
        },
      };
      await work(tx);
      throw new Rollback();
    })
    .catch((error: unknown) => {
      if (!(error instanceof Rollback)) throw error;
    });
  return plans;
}

class Rollback extends Error {}

const Children = z.array(z.looseObject({})).optional();

function* walkNodes(node: PlanNode): Generator<PlanNode> {
  yield node;
  for (const child of Children.parse(node["Plans"]) ?? []) yield* walkNodes(child);
}

/** The tables that are read by a sequential scan. */
export function seqScannedTables(plans: readonly PlanNode[]): string[] {
  return plans
    .flatMap((plan) => Array.from(walkNodes(plan)))
    .filter((node) => node["Node Type"] === "Seq Scan")
    .map((node) => String(node["Relation Name"]));
}

/** In a few words: how rows are found. */
export function summarizePlans(plans: readonly PlanNode[]): string {
  const means = plans
    .flatMap((plan) => Array.from(walkNodes(plan)))
    .filter((node) => /^(?:Seq|Index|Bitmap Index)/.test(String(node["Node Type"])))
    .map((node) => `${String(node["Node Type"])} ${String(node["Index Name"] ?? node["Relation Name"])}`);
  return [...new Set(means)].join(", ");
}
