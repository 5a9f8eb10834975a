/** Reports a failure to people or to scripts, with the exit code that the error table defines. */
import { FAILURES, FleetError, messageOf } from "../domain/errors.ts";
import type { Problem } from "../views/problem.ts";
import { ProblemError } from "./client/api.ts";
import { jsonText, openTerminal, type Terminal } from "./print/terminal.ts";
import { escapeForTerminal } from "../domain/text/escape.ts";
import type { World } from "./world.ts";

export function report(error: unknown, { json, world }: { readonly json: boolean; readonly world: World }): number {
  const terminal = openTerminal({ ...world, stdout: world.stderr });
  if (json) terminal.line(jsonText(toProblem(error)));
  else for (const line of errorLines(error, terminal)) terminal.line(line);
  return exitCodeOf(error);
}

/** The codes are 0 ok, 1 failure, 2 usage, 3 not found or denied, 4 not verified. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof FleetError) return error.failure.exit;
  if (!(error instanceof ProblemError)) return 1;
  const code = error.problem.type.split("/").at(-1);
  return Object.entries(FAILURES).find(([known]) => known === code)?.[1].exit ?? 1;
}

function toProblem(error: unknown): Problem {
  if (error instanceof ProblemError) return error.problem;
  if (!(error instanceof FleetError)) {
    return { type: "/problems/internal", title: "A bug in fleet", status: 500, detail: messageOf(error) };
  }
  return {
    type: `/problems/${error.code}`,
    title: error.failure.title,
    status: error.failure.status,
    detail: error.message,
  };
}

function errorLines(error: unknown, { paint }: Terminal): string[] {
  const [first = "", ...rest] = escapeForTerminal(messageOf(error)).split("\n");
  // When several fields are wrong, each line already has its own mark.
  const lines = [`${paint("red", "✖")} ${first.replace(/^✖ /, "")}`, ...rest.map((line) => `  ${line}`)];
  // A 501 is a deliberate refusal, so the server's log has nothing to add.
  if (
    error instanceof ProblemError &&
    error.problem.status >= 500 &&
    error.problem.status !== 501 &&
    error.problem.instance
  ) {
    lines.push(paint("dim", `  The server's log has details: ${escapeForTerminal(error.problem.instance)}`));
  }
  if (error instanceof Error && error.cause instanceof Error && !(error instanceof FleetError)) {
    lines.push(paint("dim", `  because: ${escapeForTerminal(error.cause.message)}`));
  }
  return lines;
}
