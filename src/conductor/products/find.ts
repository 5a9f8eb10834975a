/** The products of fleet.yaml: by tenant, by id, and by the repository they live in. */
import { FleetError } from "../../domain/errors.ts";
import type { Product } from "../../domain/product.ts";
import type { Fleet } from "../fleet.ts";

export function productsOf(fleet: Fleet, tenantId: string): Product[] {
  return fleet.settings.products.filter(({ tenant }) => tenant === tenantId);
}

/** By id within the tenant. Throws "not-found", also for a product of another tenant. */
export function getProduct(fleet: Fleet, tenantId: string, id: string): Product {
  const product = productsOf(fleet, tenantId).find((known) => known.id === id);
  if (product) return product;
  throw new FleetError("not-found", `There is no product ${id}. See yours: fleet products`, { productId: id });
}

/** The forge resolves the product's address, so that a link to a repository leads to the same product. */
export async function isLocatedAt(fleet: Fleet, product: Product, repository: string): Promise<boolean> {
  if (product.repository === repository) return true;
  const named = await fleet.forges
    .of(product.repository)
    .identify(product.repository)
    .catch(() => product);
  return named.repository === repository;
}
