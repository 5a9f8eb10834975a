/** Creates a design skeleton from a validated dossier: known facts are filled in, open decisions are questions. */
import type { DossierHead } from "./science.ts";

export interface SkeletonFacts {
  readonly productId: string;
  readonly path: string;
  readonly commitSha: string;
  readonly orderId: string;
  readonly at: Date;
}

export type SkeletonSource = Pick<DossierHead, "dossier_id" | "topic" | "owner" | "hypothesis" | "evidence">;

export function designSkeleton(dossier: SkeletonSource, facts: SkeletonFacts): string {
  const evidence = dossier.evidence.map((link) => `- ${escapeMarkdown(link)}`).join("\n") || "- the dossier links none";
  return `---
dossier_id: ${JSON.stringify(dossier.dossier_id)}
product_id: ${JSON.stringify(facts.productId)}
status: draft
created_at: ${facts.at.toISOString()}
owner: ${JSON.stringify(dossier.owner)}
source: ${JSON.stringify(`${facts.path}@${facts.commitSha}`)}
work_order: ${facts.orderId}
---

# Design: ${escapeMarkdown(dossier.topic)}

## Problem

Whose problem does this solve, and which one? The dossier is about: ${escapeMarkdown(dossier.topic)}.

## Hypothesis

> ${escapeMarkdown(dossier.hypothesis)}

Validated in dossier \`${dossier.dossier_id}\`, owned by ${escapeMarkdown(dossier.owner)}.

## Evidence

${evidence}

What does it not show?

## Decision needed

- [ ] Build it, as described below
- [ ] Build less: say what is left out
- [ ] Do not build it: say why

By whom, and until when?

## Design

What changes, for whom, and what stays as it is?

## Risks

- What could go wrong, how would it be noticed, and how would it be undone?

## Tasks

- [ ] One line per task, each small enough for one pull request
`;
}

/** Escapes an author's text, so that no heading, link or other markup in it takes effect. */
function escapeMarkdown(text: string): string {
  return text.replaceAll(/[\\`*_{}[\]<>#|~]/g, (sign) => `\\${sign}`);
}
