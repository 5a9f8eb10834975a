/** What a repository's own files declare about the tools it needs; a malformed file declares nothing. */
import { expect, test } from "vitest";
import { readToolchain } from "../../../src/domain/drift/toolchain.ts";

const read = (files: Readonly<Record<string, string>>) => readToolchain(new Map(Object.entries(files)));

test("requirements are read from their own tables, however the file spells them", () => {
  const { declared, locked } = read({
    "pyproject.toml":
      '[tool.other]\nrequires-python = ">=2"\n[project]\nname = "x"\n"requires-python" = \'>=3.11\' # why\n',
    "uv.lock": 'version = 1\nrequires-python = ">=3.10"\n[[package]]\nname = "x"\n',
    "rust-toolchain.toml": 'toolchain = { channel = "1.80.1", components = ["clippy"] }\n',
    "package.json": '{"engines": {"node": ">=20"}}',
    "package-lock.json": '{"packages": {"": {"engines": {"node": ">=18"}}}}',
  });

  expect(declared.map(({ tool, range }) => `${tool} ${range}`)).toEqual(["node >=20", "rust 1.80.1", "python >=3.11"]);
  expect(locked.map(({ tool, range }) => `${tool} ${range}`)).toEqual(["node >=18", "python >=3.10"]);
});

test("a malformed file, an alias or another shape declares nothing", () => {
  const { declared, locked } = read({
    "pyproject.toml": '[project\nrequires-python = ">=3.11"',
    "uv.lock": 'requires-python = ["3"]',
    "rust-toolchain.toml": '[toolchain]\nchannel = "stable"\n',
    "package.json": '{"engines": "node"}',
    "package-lock.json": "{",
  });

  expect([...declared, ...locked]).toEqual([]);
});
