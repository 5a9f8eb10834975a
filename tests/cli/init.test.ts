/** fleet init in real small repositories: what it finds, writes and asks, and what it does not change. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { afterAll, expect, test } from "vitest";
import { main } from "../../src/cli/main.ts";
import { parseSchedule } from "../../src/domain/orders/schedule.ts";
import { loadSettings } from "../../src/processes/settings.ts";
import { newCheckout, runGit, testFolder } from "../support/repositories.ts";

const folder = testFolder();
afterAll(() => folder[Symbol.dispose]());

interface Typing {
  readonly cwd: string;
  /** The operator's input, one line per question; without it the run is not interactive. */
  readonly lines?: readonly string[];
}

async function init({ cwd, lines }: Typing, ...words: string[]) {
  let out = "";
  let err = "";
  const stdin = Object.assign(new PassThrough(), { isTTY: lines !== undefined });
  stdin.end((lines ?? []).map((line) => `${line}\n`).join(""));
  const exit = await main(["init", ...words], {
    env: {},
    cwd,
    stdin,
    stdout: { write: (text) => void (out += text) },
    stderr: { write: (text) => void (err += text) },
    signal: new AbortController().signal,
    clock: () => new Date(),
    random: () => 0.5,
  });
  return { exit, out, err };
}

const json = (value: object) => JSON.stringify(value);
const repository = (name: string, files: Readonly<Record<string, string>>) =>
  newCheckout(join(folder.path, name), { "README.md": "hello\n", ...files });

/** The command for sh to run. */
const line = (argv: readonly string[] | undefined) => argv?.at(-1);

async function productOf(root: string) {
  const { products } = await loadSettings(undefined, root);
  expect(products).toHaveLength(1);
  const [product] = products;
  const { setup, validate, test: tested } = product?.commands ?? {};
  return { ...product, setup: line(setup), validate: line(validate), test: line(tested) };
}

const SCRIPTS = { test: "vitest run", lint: "oxlint", typecheck: "tsc --noEmit" };
const PROJECTS: readonly (readonly [string, Readonly<Record<string, string>>, object])[] = [
  [
    "npm-shop",
    {
      "package.json": json({ name: "@acme/shop", scripts: SCRIPTS, devDependencies: { typescript: "7" } }),
      "package-lock.json": "{}",
    },
    { id: "shop", setup: "npm ci", validate: "npm run typecheck && npm run lint", test: "npm test" },
  ],
  [
    "pnpm-app",
    { "package.json": json({ scripts: { ...SCRIPTS, check: "x" } }), "pnpm-lock.yaml": "" },
    { id: "pnpm-app", setup: "pnpm install --frozen-lockfile", validate: "pnpm run check", test: "pnpm test" },
  ],
  [
    "yarn-app",
    {
      "package.json": json({
        packageManager: "yarn@4.1.0",
        scripts: { test: 'echo "Error: no test specified" && exit 1' },
      }),
      "yarn.lock": "",
      ".yarnrc.yml": "",
    },
    { setup: "yarn install --immutable", validate: undefined, test: undefined },
  ],
  ["no-dependencies", { "package.json": "not JSON" }, { id: "no-dependencies", setup: undefined, test: undefined }],
  [
    "uv-app",
    {
      "pyproject.toml": '[project]\nname = "Uv App"\n[tool.ruff]\n[tool.mypy]\n[dependency-groups]\ndev = ["pytest"]\n',
      "uv.lock": "",
    },
    {
      id: "uv-app",
      setup: "uv sync --locked",
      validate: "uv run ruff check . && uv run mypy .",
      test: "uv run python -m pytest",
    },
  ],
  [
    "poetry-app",
    { "pyproject.toml": '[tool.poetry]\nname = "snake"\n', "poetry.lock": "", "test_it.py": "" },
    { id: "snake", setup: "poetry install --no-interaction", test: "poetry run python -m unittest discover" },
  ],
  [
    "pip-app",
    { "requirements.txt": "pytest\n", Makefile: "lint:\n\tflake8\ninstall:\n\tcp x /usr\n" },
    {
      setup: "python3 -m venv .venv && .venv/bin/pip install --quiet -r requirements.txt",
      validate: "make lint",
      test: ".venv/bin/python -m pytest",
    },
  ],
  [
    "rust-app",
    { "Cargo.toml": '[package]\nname = "crab"\nversion = "0.1.0"\n', "Cargo.lock": "" },
    {
      id: "crab",
      setup: "cargo fetch --locked",
      validate: "cargo check --all-targets --locked",
      test: "cargo test --locked",
    },
  ],
  ["go-app", { "go.mod": "module example.org/acme/gopher/v2\n\ngo 1.24\n" }, { id: "gopher", test: "go test ./..." }],
  ["java-app", { "pom.xml": "<project/>", mvnw: "" }, { test: "./mvnw -B test" }],
  [
    "make-app",
    { Makefile: "CC := cc\ntest: all\n\ttrue\ncheck:\n\ttrue\n" },
    { validate: "make check", test: "make test" },
  ],
  ["Only Words", {}, { id: "only-words", setup: undefined, validate: undefined, test: undefined }],
];

test.each(PROJECTS)("%s is recognised, and the written fleet.yaml is valid", async (name, files, wanted) => {
  const root = repository(name, files);

  const { exit, err } = await init({ cwd: root }, "--yes");

  expect({ exit, err }).toEqual({ exit: 0, err: "" });
  expect(await productOf(root)).toMatchObject({ repository: root, baseBranch: "main", status: "active", ...wanted });
});

test("init prints what it found and the next steps, works at the root of the repository, and uses the remote's branch", async () => {
  const upstream = repository("upstream", { "go.mod": "module shop\n" });
  runGit(upstream, "branch", "-m", "trunk");
  const root = join(folder.path, "clone");
  runGit(folder.path, "clone", "--quiet", upstream, root);
  runGit(root, "checkout", "--quiet", "-b", "feature");
  mkdirSync(join(root, "deep", "below"), { recursive: true });

  const { out } = await init({ cwd: join(root, "deep", "below") }, "--yes", "--schedule", "daily");

  expect(out).toMatch(
    /^Found: Go, go \(go\.mod\)\n[^]*branch +trunk\n[^]*✔ Wrote \.\.\/\.\.\/fleet\.yaml\n[^]*Next: fleet up/,
  );
  expect(parseSchedule(readFileSync(join(root, "schedules", "shop.json"), "utf8"), "shop")).toMatchObject({
    ok: true,
    schedule: { cadence: "daily", at: "02:30", jobs: [{ intent: "validate" }, { intent: "test" }] },
  });
});

test("an existing file stays as it is, unless it is to be overwritten", async () => {
  const root = repository("taken", { "go.mod": "module taken\n" });
  writeFileSync(join(root, "fleet.yaml"), "version: 1\n");

  const { exit, err } = await init({ cwd: root }, "--yes");

  expect({ exit, err }).toEqual({ exit: 2, err: expect.stringContaining("fleet.yaml already exists") });
  expect(readFileSync(join(root, "fleet.yaml"), "utf8")).toBe("version: 1\n");
  expect((await init({ cwd: root }, "--yes", "--force")).exit).toBe(0);
  expect((await productOf(root)).id).toBe("taken");
});

test("questions are asked line by line: Enter accepts what was found, - means none, and an invalid answer is asked again", async () => {
  const root = repository("asked", { "go.mod": "module asked\n" });

  const { exit, out } = await init({
    cwd: root,
    lines: ["My Shop", "shop", "", "-", "make: 'all' # quick", "", "highest", "high"],
  });

  expect(exit).toBe(0);
  expect(out).toContain("must be lower-case letters");
  expect(out).toContain("must be high, medium, low");
  expect(await productOf(root)).toMatchObject({
    id: "shop",
    setup: undefined,
    validate: "make: 'all' # quick",
    test: "go test ./...",
    criticality: "high",
  });
});

test("when the input ends or is interrupted, nothing is written", async () => {
  const root = repository("nobody", {});

  expect(await init({ cwd: root })).toMatchObject({ exit: 2, err: expect.stringContaining("fleet init --yes") });
  expect(await init({ cwd: root, lines: ["shop"] })).toMatchObject({
    exit: 2,
    err: expect.stringContaining("nothing was written"),
  });
  expect((await init({ cwd: root }, "--yes", "--schedule", "sometimes")).exit).toBe(2);
  expect(() => readFileSync(join(root, "fleet.yaml"))).toThrow("ENOENT");
});

test("outside a repository the error says how to create one; --json reports what was written", async () => {
  expect(await init({ cwd: "/" }, "--yes")).toMatchObject({ exit: 2, err: expect.stringContaining("git init") });
  const root = repository("scripted", { "go.mod": "module scripted\n" });

  const { out } = await init({ cwd: root }, "--json");

  expect(JSON.parse(out)).toMatchObject({
    files: [join(root, "fleet.yaml")],
    product: { id: "scripted", validate: "go vet ./..." },
    detected: { language: "Go" },
  });
});
