/** Procfile, compose file and Dockerfile: they name existing things, start in order, and contain no password. */
import { access, readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { parse } from "yaml";
import { z } from "zod";

const Service = z.object({
  image: z.string(),
  environment: z.record(z.string(), z.string()).default({}),
  volumes: z.array(z.string()).default([]),
  ports: z.array(z.string()).default([]),
  depends_on: z.record(z.string(), z.object({ condition: z.string() })).default({}),
  healthcheck: z.object({ test: z.array(z.string()).min(2) }).optional(),
  command: z.array(z.string()).default([]),
});
const Compose = z.object({
  services: z.record(z.string(), Service),
  volumes: z.record(z.string(), z.null()),
});

const PROGRAM = "node dist/src/cli/bin.js";

test("the Procfile has the three processes, all of one program", async () => {
  const lines = (await readFile("Procfile", "utf8")).trim().split("\n");

  expect(lines).toEqual([`release: ${PROGRAM} migrate`, `web: ${PROGRAM} web`, `worker: ${PROGRAM} worker`]);
});

test("every service waits for existing services that have a health check", async () => {
  const { services, volumes } = await readCompose();

  expect(Object.keys(services)).toEqual(
    expect.arrayContaining(["postgres", "redis", "migrate", "web", "worker-1", "worker-2"]),
  );
  for (const [name, service] of Object.entries(services)) {
    for (const [needed, { condition }] of Object.entries(service.depends_on)) {
      const expected = needed === "migrate" ? "service_completed_successfully" : "service_healthy";
      expect(condition, `${name} waits for ${needed}`).toBe(expected);
      expect(services).toHaveProperty(needed);
    }
    for (const volume of service.volumes) expect(volumes).toHaveProperty(volume.split(":")[0] ?? "");
    expect(service.healthcheck !== undefined, `${name} has a health check`).toBe(name !== "migrate");
  }
});

test("no password has a default, and the stores are not open to the network", async () => {
  const text = await readFile("docker-compose.yml", "utf8");
  const { services } = await readCompose();

  const variables = [...text.matchAll(/(?<!\$)\$\{(\w+)(:?[?-])?/g)];
  for (const [, name = "", kind] of variables) {
    const wanted = /PASSWORD|KEY/.test(name) ? ":?" : ":-";
    expect(kind, name).toBe(wanted);
  }
  expect(variables.length).toBeGreaterThan(6);
  expect(text).not.toMatch(/\$\{\w*(PASSWORD|KEY|TOKEN)\w*:-[^}]/);
  expect(services["postgres"]?.ports).toEqual([]);
  expect(services["redis"]?.ports).toEqual([]);
  expect(services["web"]?.ports).toEqual([expect.stringMatching(/^127\.0\.0\.1:/)]);
});

test("Redis logs every write and evicts nothing, and each worker is a separate host", async () => {
  const { services } = await readCompose();

  expect(services["redis"]?.command.join(" ")).toMatch(/--appendonly yes .*--maxmemory-policy noeviction/);
  const hosts = ["worker-1", "worker-2"].map((name) => services[name]?.environment["FLEET_HOST_ID"]);
  expect(new Set(hosts).size).toBe(2);
});

test("the image copies existing files, runs as a user without root rights under tini, and has git and tmux", async () => {
  const dockerfile = await readFile("Dockerfile", "utf8");
  const copied = [...dockerfile.matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap(([, paths = ""]) => paths.split(" "));

  for (const path of copied) await expect(access(path), path).resolves.toBeUndefined();
  expect(copied.length).toBeGreaterThan(7);
  expect(dockerfile).toMatch(/^USER node$/m);
  expect(dockerfile).toMatch(/^ENTRYPOINT \["tini"/m);
  expect(dockerfile).toMatch(/apt-get install .*git.*tini.*tmux/);
});

async function readCompose() {
  return Compose.parse(parse(await readFile("docker-compose.yml", "utf8"), { merge: true }));
}
