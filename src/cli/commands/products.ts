/** fleet products: the maintained products and their kill switches. */
import { asString, type Command, type Shell } from "../command.ts";
import type { ProductView } from "../../views/orders/product.ts";

const oneView = async () => (await import("../../views/orders/product.ts")).ProductView;

const listCommand: Command = {
  usage: "products",
  summary: "list the maintained products, their last results, and which are stopped",
  options: [],
  examples: ["fleet products", "fleet products --json | jq '.products[] | select(.stopped).id'"],

  async run({ api, terminal, json, world }) {
    const view = await api.request(
      "GET /api/fleet/products",
      {},
      async () => (await import("../../views/orders/product.ts")).ProductsView,
    );
    if (json) {
      terminal.json(view);
      return;
    }
    const { productLines } = await import("../print/product-table.ts");
    for (const line of productLines(terminal, view.products, world.clock())) terminal.line(line);
  },
};

const killCommand: Command = {
  usage: "products kill <product>",
  summary: "stop a product at once: nothing is planned or run for it until it is released",
  options: [["--reason <reason>", "why; shown wherever the product is listed (required)"]],
  examples: ['fleet products kill shop --reason "its tests write to production"'],

  async run(shell, [product = ""], { reason }) {
    const params = { path: { product }, body: { reason: asString(reason) ?? "" } };
    const view = await shell.api.request("POST /api/fleet/products/:product/kill", params, oneView);
    await printProduct(shell, view, `Release it: fleet products release ${view.id}`);
  },
};

const releaseCommand: Command = {
  usage: "products release <product>",
  summary: "release a stopped product",
  options: [],
  examples: ["fleet products release shop"],

  async run(shell, [product = ""]) {
    const view = await shell.api.request("POST /api/fleet/products/:product/release", { path: { product } }, oneView);
    const step = view.stopped
      ? "It is stopped in fleet.yaml: edit products[].killSwitch there"
      : `Plan for it: fleet plan --product ${view.id}`;
    await printProduct(shell, view, step);
    return view.stopped ? 1 : 0;
  },
};

/** The command that the bare word runs comes first. */
export const productsCommands: readonly Command[] = [listCommand, killCommand, releaseCommand];

async function printProduct({ terminal, json }: Shell, view: ProductView, step: string): Promise<void> {
  if (json) {
    terminal.json(view);
    return;
  }
  const { productStatus } = await import("../print/product-table.ts");
  terminal.line(`${productStatus(terminal, view)}  ${terminal.paint("bold", terminal.sanitize(view.id))}`);
  if (view.stopped) terminal.line(`  ${terminal.sanitize(view.stopped.reason)}`);
  terminal.line(terminal.paint("dim", `  ${step}`));
}
