/** Languages whose own tool builds and tests, so that the files determine the commands and little is guessed. */
import { z } from "zod";
import { parseToml } from "../../../domain/text/toml.ts";
import type { Detected, Folder, Detector } from "./project.ts";

const Cargo = z.object({ package: z.object({ name: z.string() }) });

const rust: Detector = async (folder) => {
  if (!folder.has("Cargo.toml")) return undefined;
  const locked = folder.has("Cargo.lock") ? " --locked" : "";
  return {
    language: "Rust",
    packageManager: "cargo",
    name: Cargo.safeParse(parseToml(await folder.text("Cargo.toml"))).data?.package.name,
    setup: `cargo fetch${locked}`,
    validate: `cargo check --all-targets${locked}`,
    test: `cargo test${locked}`,
    files: folder.existing("Cargo.toml", "Cargo.lock"),
  };
};

const go: Detector = async (folder) => {
  if (!folder.has("go.mod")) return undefined;
  const path = /^module\s+(?<path>\S+)/m.exec(await folder.text("go.mod"))?.groups?.["path"];
  return {
    language: "Go",
    packageManager: "go",
    // The module `example.org/shop/v2` is named shop.
    name: path
      ?.replace(/\/v\d+$/, "")
      .split("/")
      .at(-1),
    setup: "go mod download",
    validate: "go vet ./...",
    test: "go test ./...",
    files: folder.existing("go.mod", "go.sum"),
  };
};

const java: Detector = async (folder) => {
  if (folder.has("pom.xml")) {
    const mvn = folder.has("mvnw") ? "./mvnw" : "mvn";
    return byTool(
      folder,
      {
        language: "Java",
        packageManager: "maven",
        validate: `${mvn} -B -q verify -DskipTests`,
        test: `${mvn} -B test`,
      },
      ["pom.xml", "mvnw"],
    );
  }
  const files = folder.existing("build.gradle", "build.gradle.kts", "gradlew");
  if (!folder.has("build.gradle", "build.gradle.kts")) return undefined;
  const gradle = folder.has("gradlew") ? "./gradlew" : "gradle";
  return byTool(
    folder,
    { language: "Java", packageManager: "gradle", validate: `${gradle} check -x test`, test: `${gradle} test` },
    files,
  );
};

const ruby: Detector = async (folder) => {
  if (!folder.has("Gemfile")) return undefined;
  const gems = await folder.text("Gemfile");
  const validate = gems.includes("rubocop") ? "bundle exec rubocop" : undefined;
  const test = folder.has("spec") ? "bundle exec rspec" : folder.has("Rakefile") ? "bundle exec rake test" : undefined;
  return byTool(folder, { language: "Ruby", packageManager: "bundler", setup: "bundle install", validate, test }, [
    "Gemfile",
    "Gemfile.lock",
  ]);
};

const php: Detector = async (folder) => {
  if (!folder.has("composer.json")) return undefined;
  const manifest = await folder.text("composer.json");
  const test = folder.has("phpunit.xml", "phpunit.xml.dist") ? "vendor/bin/phpunit" : undefined;
  const validate = manifest.includes("phpstan") ? "vendor/bin/phpstan analyse" : "composer validate --strict";
  const setup = "composer install --no-interaction";
  return byTool(folder, { language: "PHP", packageManager: "composer", setup, validate, test }, [
    "composer.json",
    "composer.lock",
  ]);
};

const elixir: Detector = async (folder) =>
  folder.has("mix.exs")
    ? byTool(
        folder,
        {
          language: "Elixir",
          packageManager: "mix",
          setup: "mix deps.get",
          validate: "mix compile --warnings-as-errors",
          test: "mix test",
        },
        ["mix.exs", "mix.lock"],
      )
    : undefined;

const dotnet: Detector = async (folder) => {
  const files = folder.names.filter((name) => /\.(?:sln|slnx|csproj|fsproj)$/.test(name));
  if (files.length === 0) return undefined;
  const commands = { setup: "dotnet restore", validate: "dotnet build --no-restore", test: "dotnet test" };
  return byTool(folder, { language: ".NET", packageManager: "dotnet", ...commands }, files);
};

const deno: Detector = async (folder) =>
  folder.has("deno.json", "deno.jsonc")
    ? byTool(
        folder,
        { language: "TypeScript", packageManager: "deno", validate: "deno lint && deno check .", test: "deno test" },
        ["deno.json", "deno.jsonc", "deno.lock"],
      )
    : undefined;

const cmake: Detector = async (folder) =>
  folder.has("CMakeLists.txt")
    ? byTool(
        folder,
        {
          language: "C++",
          packageManager: "cmake",
          setup: "cmake -S . -B build",
          validate: "cmake --build build",
          test: "cmake --build build && ctest --test-dir build --output-on-failure",
        },
        ["CMakeLists.txt"],
      )
    : undefined;

export const COMPILED: readonly Detector[] = [rust, go, java, ruby, php, elixir, dotnet, deno, cmake];

type ToolDefinition = Omit<Detected, "files">;

function byTool(folder: Folder, tool: ToolDefinition, files: readonly string[]): Detected {
  return { ...tool, files: folder.existing(...files) };
}
