/** Python: the tool whose lock file or section exists, and the checkers that the project itself mentions. */
import { z } from "zod";
import { parseToml } from "../../../domain/text/toml.ts";
import type { Detected, Folder } from "./project.ts";

const Named = z.object({ name: z.string().optional() });
const Pyproject = z.object({ project: Named.optional(), tool: z.record(z.string(), z.unknown()).optional() });

interface Tool {
  readonly name: string;
  readonly setup: string;
  /** Goes before a program of the project's environment. */
  readonly prefix: string;
}

const MARKERS = ["pyproject.toml", "requirements.txt", "setup.py", "setup.cfg", "Pipfile"];
const MENTIONS = [
  "pyproject.toml",
  "requirements.txt",
  "requirements-dev.txt",
  "dev-requirements.txt",
  "setup.cfg",
  "tox.ini",
  "Pipfile",
];

export async function detectPython(folder: Folder): Promise<Detected | undefined> {
  if (!folder.has(...MARKERS)) return undefined;
  const { project, tool: sections = {} } =
    Pyproject.safeParse(parseToml(await folder.text("pyproject.toml"))).data ?? {};
  const mentioned = (await Promise.all(MENTIONS.map((name) => folder.text(name)))).join("\n");
  const tool = detectTool(folder, sections);
  const checks = [
    ...(/\bruff\b/.test(mentioned) || folder.has("ruff.toml", ".ruff.toml") ? ["ruff check ."] : []),
    ...(/\bmypy\b/.test(mentioned) || folder.has("mypy.ini") ? ["mypy ."] : []),
  ];
  return {
    language: "Python",
    packageManager: tool.name,
    name: project?.name ?? Named.safeParse(sections["poetry"]).data?.name,
    setup: tool.setup,
    validate: checks.length > 0 ? checks.map((check) => tool.prefix + check).join(" && ") : undefined,
    test: testCommand(folder, tool, mentioned),
    files: folder.existing(...MARKERS, "uv.lock", "poetry.lock", "pdm.lock", "Pipfile.lock"),
  };
}

function detectTool(folder: Folder, sections: Readonly<Record<string, unknown>>): Tool {
  if (folder.has("uv.lock") || "uv" in sections) {
    return { name: "uv", setup: folder.has("uv.lock") ? "uv sync --locked" : "uv sync", prefix: "uv run " };
  }
  if (folder.has("poetry.lock") || "poetry" in sections) {
    return { name: "poetry", setup: "poetry install --no-interaction", prefix: "poetry run " };
  }
  if (folder.has("pdm.lock") || "pdm" in sections) return { name: "pdm", setup: "pdm sync", prefix: "pdm run " };
  if (folder.has("Pipfile")) return { name: "pipenv", setup: "pipenv sync --dev", prefix: "pipenv run " };
  const wanted = folder.existing("requirements.txt", "requirements-dev.txt", "dev-requirements.txt");
  const what = wanted.length > 0 ? wanted.map((name) => `-r ${name}`).join(" ") : "-e .";
  return {
    name: "pip",
    setup: `python3 -m venv .venv && .venv/bin/pip install --quiet ${what}`,
    prefix: ".venv/bin/",
  };
}

function testCommand(folder: Folder, { prefix }: Tool, mentioned: string): string | undefined {
  if (/\bpytest\b/.test(mentioned) || folder.has("pytest.ini", "conftest.py")) return `${prefix}python -m pytest`;
  const hasTests = folder.has("tests", "test") || folder.names.some((name) => /^test_.*\.py$/.test(name));
  return hasTests ? `${prefix}python -m unittest discover` : undefined;
}
