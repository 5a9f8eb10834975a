/** plans: inputs and output of each plan, stored so that it can be repeated and compared. Only processors write them (worker role). */
import { promisify } from "node:util";
import { gunzip, gzip } from "node:zlib";
import { z } from "zod";
import { OrderStatus } from "../domain/orders/order.ts";
import { cursorColumn, cursorShape, type PageCursor } from "./keyset.ts";
import { sql, type Tx } from "./sql.ts";
import { StoredPlan } from "../domain/plan/plan.ts";

const columns = sql`p.id, p.tenant_id, p.operator_id, p.source, p.as_of, p.wanted, p.candidates, p.input_sha256,
  p.output_sha256, p.created_at`;

/** Both texts are canonical JSON. */
export interface PlanTexts {
  readonly inputs: string;
  readonly output: string;
}

const pack = promisify(gzip);
const unpack = promisify(gunzip);

/** Compresses what insertPlan stores. Call it outside the transaction, because it takes time. */
export async function packPlanTexts({ inputs, output }: PlanTexts): Promise<{ inputs: Buffer; output: Buffer }> {
  const [packedInputs, packedOutput] = await Promise.all([pack(inputs), pack(output)]);
  return { inputs: packedInputs, output: packedOutput };
}

/** Returns whether it is new: the same plan on the same inputs has the same id, and is stored once. */
export async function insertPlan(
  tx: Tx,
  plan: Omit<StoredPlan, "createdAt">,
  packed: { readonly inputs: Buffer; readonly output: Buffer },
): Promise<boolean> {
  const stored = await tx.run`
    insert into plans (id, tenant_id, operator_id, source, as_of, wanted, candidates, input_sha256, output_sha256, inputs, output)
    values (${plan.id}, ${plan.tenantId}, ${plan.operatorId}, ${plan.source}, ${plan.asOf}, ${plan.wanted},
      ${plan.candidates}, ${plan.inputSha256}, ${plan.outputSha256}, ${packed.inputs}, ${packed.output})
    on conflict on constraint plans_pkey do nothing`;
  return stored > 0;
}

/** Lists visible plans whose id begins with `name`, hexadecimal without hyphens. */
export async function listPlansByName(tx: Tx, name: string, limit: number): Promise<StoredPlan[]> {
  return tx.many(StoredPlan)`
    select ${columns} from plans p
    where p.id between ${name.padEnd(32, "0")}::uuid and ${name.padEnd(32, "f")}::uuid
    order by p.created_at desc, p.id desc limit ${limit}`;
}

const PackedPlan = z.object({ inputs: z.instanceof(Buffer), output: z.instanceof(Buffer) });

/** Leaves a text out when its stored bytes have changed so that they cannot be decompressed. */
export async function readPlanTexts(tx: Tx, id: string): Promise<Partial<PlanTexts>> {
  const { inputs, output } = await tx.one(PackedPlan)`select inputs, output from plans where id = ${id}`;
  const [readInputs, readOutput] = await Promise.all([tryUnpack(inputs), tryUnpack(output)]);
  return {
    ...(readInputs === undefined ? {} : { inputs: readInputs }),
    ...(readOutput === undefined ? {} : { output: readOutput }),
  };
}

async function tryUnpack(bytes: Buffer): Promise<string | undefined> {
  return unpack(bytes).then(
    (text) => text.toString("utf8"),
    () => undefined,
  );
}

export interface PlanFilter {
  /** Keyset: only plans older than this one. */
  readonly before?: PageCursor | undefined;
  readonly limit: number;
}

const ListedPlan = StoredPlan.extend(cursorShape);

export async function listPlans(tx: Tx, { before, limit }: PlanFilter): Promise<z.infer<typeof ListedPlan>[]> {
  const earlier = before === undefined ? sql`` : sql` where (p.created_at, p.id) < (${before.at}, ${before.id}::uuid)`;
  return tx.many(ListedPlan)`
    select ${columns}, ${cursorColumn(sql`p.created_at`)} from plans p${earlier} order by p.created_at desc, p.id desc limit ${limit}`;
}

export interface OrderSubject {
  readonly job_id: string;
  readonly product_id: string;
  readonly intent: string;
  readonly subject: string;
}

const SubjectOrder = z.object({ jobId: z.uuid(), orderId: z.uuid(), status: OrderStatus });

/** Finds for each of these the order with that id, or else the open one that keeps it from being stored. */
export async function listOrdersForSubjects(
  tx: Tx,
  tenantId: string,
  subjects: readonly OrderSubject[],
): Promise<z.infer<typeof SubjectOrder>[]> {
  return tx.many(SubjectOrder)`
    select distinct on (wanted.job_id) wanted.job_id, o.id as order_id, o.status
    from jsonb_to_recordset(${JSON.stringify(subjects)}::jsonb) as wanted (job_id uuid, product_id text, intent text, subject text)
    join work_orders o on o.tenant_id = ${tenantId} and (o.id = wanted.job_id or (o.product_id = wanted.product_id
      and o.intent = wanted.intent and o.subject = wanted.subject and o.status in ('pending', 'running')))
    order by wanted.job_id, o.id = wanted.job_id desc`;
}
