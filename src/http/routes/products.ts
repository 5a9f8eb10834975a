/** /products: the products of the factory, stopping one, and releasing it. */
import type { Fleet } from "../../conductor/fleet.ts";
import { killProduct, listProducts, releaseProduct } from "../../conductor/products/products.ts";
import { KillReason, ProductsView, ProductView, viewProduct } from "../../views/orders/product.ts";
import { defineRoute } from "../route.ts";
import { ProductParams } from "./params.ts";

export const productsRoute = defineRoute(
  {
    method: "get",
    path: "/api/fleet/products",
    tier: "observer",
    summary: "Products, the result of their last run, and which are stopped",
    reply: ProductsView,
  },
  async (fleet: Fleet, { operator }) => {
    const states = await listProducts(fleet, operator);
    return { body: { products: states.map((state) => viewProduct(state)) } };
  },
);

export const killProductRoute = defineRoute(
  {
    method: "post",
    path: "/api/fleet/products/:product/kill",
    tier: "builder",
    summary: "Stop a product: nothing is planned or run for it until it is released",
    params: ProductParams,
    body: KillReason,
    reply: ProductView,
    errors: ["not-found"],
  },
  async (fleet: Fleet, { operator, params, body }) => ({
    body: viewProduct(await killProduct(fleet, operator, params.product, body.reason)),
  }),
);

export const releaseProductRoute = defineRoute(
  {
    method: "post",
    path: "/api/fleet/products/:product/release",
    tier: "builder",
    summary: "Release a stopped product; if fleet.yaml stops it, it stays stopped and the response says so",
    params: ProductParams,
    reply: ProductView,
    errors: ["not-found"],
  },
  async (fleet: Fleet, { operator, params }) => ({
    body: viewProduct(await releaseProduct(fleet, operator, params.product)),
  }),
);
