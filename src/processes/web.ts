/** The web process: API, documentation, login, queue board. It runs no processors, but relays what its own requests committed. */
import type { Server } from "node:http";
import { hostQueue } from "../../queues/host.ts";
import { QUEUES } from "../../queues/index.ts";
import { getTaskNamed } from "../conductor/tasks/find.ts";
import type { Config } from "../environment.ts";
import { codeOf, FleetError } from "../domain/errors.ts";
import type { Operator } from "../domain/operator.ts";
import { mountBoard } from "../http/board/board.ts";
import { openRateLimits } from "../http/server/limits.ts";
import { webRoutes } from "../http/routes/index.ts";
import { createServer } from "../http/server/server.ts";
import { loginLink, mountLogin, type SessionOptions } from "../http/auth/session.ts";
import { listHosts } from "../store/hosts.ts";
import { upsertOperator } from "../store/operators.ts";
import type { OpenFleet } from "./fleet.ts";
import { openIdentities } from "./auth/identities.ts";
import { openSigningKeyCache } from "./auth/signing-key-cache.ts";
import { startLoop } from "./loop.ts";
import { startSelfMonitoring } from "./watch.ts";
import { startRelay } from "./relay.ts";

export interface RunningWeb {
  readonly server: Server;
  /** The address it listens on. */
  readonly url: string;
  /** Issues a token for the API; registers the operator. */
  issueFor(operator: Operator, ttlMs: number): Promise<string>;
  /** A single-use link that logs a browser in. */
  loginLinkFor(operator: Operator): Promise<string>;
  close(): Promise<void>;
}

/** How soon the board shows the queue of a new host. */
const HOSTS_POLL_MS = 10_000;

/** `relays` is false when a worker in the same process relays. */
export async function startWeb(open: OpenFleet, config: Config, { relays = true } = {}): Promise<RunningWeb> {
  const { fleet, store, broker } = open;
  const { newId, log } = fleet;
  const keys = await openSigningKeyCache(store, config);
  const { tokens, resolveOperator, identify, identifyVisitor } = await openIdentities(fleet, config, keys);

  let hostIds: readonly string[] = [];
  const refreshHosts = async () => {
    hostIds = (await store.asSystem((tx) => listHosts(tx))).map(({ id }) => id);
  };
  const watch = startSelfMonitoring(fleet);
  const hosts = startLoop({ everyMs: HOSTS_POLL_MS, step: refreshHosts, onError: () => undefined });

  const publicUrl = config.FLEET_PUBLIC_URL ?? `http://${config.FLEET_HOST}:${config.PORT}`;
  const sessions: SessionOptions = { ...tokens, identify: identifyVisitor, publicUrl };
  const findTask = (by: Operator, id: string) => getTaskNamed(fleet, by, id);
  const queues = () => broker.bullQueues([...QUEUES, ...hostIds.map((id) => hostQueue(id))]);
  // With PORT=0 the address is known only once the server listens.
  const createLoginLink = (operator: Operator): Promise<string> => loginLink(operator, { ...sessions, publicUrl: url });
  const http = createServer({
    context: fleet,
    limits: openRateLimits({ perAddress: config.FLEET_RATE_PER_ADDRESS, perOperator: config.FLEET_RATE_PER_OPERATOR }),
    routes: webRoutes(createLoginLink, { ...keys, tokens }),
    identify,
    resolveOperator,
    keys: keys.keySet,
    health: {
      postgres: () => store.asSystem(async (tx) => `${(await listHosts(tx)).length} hosts`),
      queues: async () => `${broker.backend}, ${(await broker.depth(QUEUES[0] ?? hostQueue("none"))).waiting} waiting`,
    },
    log,
    newId,
    trustProxy: config.FLEET_TRUST_PROXY,
    mounts: [
      (app) => mountLogin(app, sessions),
      (app) => mountBoard(app, { identify: identifyVisitor, queues, publicUrl, findTask }),
    ],
  });
  const port = await listen(http.server, config).catch(async (error: unknown) => {
    await Promise.all([hosts.stop(), watch.stop(), keys.stop(), tokens.stop()]);
    throw error;
  });
  const url =
    config.FLEET_PUBLIC_URL ?? `http://${config.FLEET_HOST === "0.0.0.0" ? "127.0.0.1" : config.FLEET_HOST}:${port}`;
  const relay = relays ? startRelay(open) : undefined;
  log.info({ component: "web", url }, "listening");

  const registerOperator = async (operator: Operator) => store.asSystem((tx) => upsertOperator(tx, operator));
  return {
    server: http.server,
    url,
    issueFor: tokens.issueFor,
    async loginLinkFor(operator) {
      await registerOperator(operator);
      return createLoginLink(operator);
    },
    async close() {
      await http.close();
      await Promise.all([hosts.stop(), watch.stop(), keys.stop(), tokens.stop(), relay?.stop()]);
    },
  };
}

function listen(server: ReturnType<typeof createServer>["server"], config: Config): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", (error) => reject(toListenError(error, config)));
    server.listen(config.PORT, config.FLEET_HOST, () => {
      server.removeAllListeners("error");
      const address = server.address();
      resolve(typeof address === "object" && address ? address.port : config.PORT);
    });
  });
}

function toListenError(error: Error, { PORT, FLEET_HOST }: Config): Error {
  const advice: Readonly<Record<string, string>> = {
    EADDRINUSE: `Port ${PORT} of ${FLEET_HOST} is taken by another program. Choose another: PORT=0 takes any free one.`,
    EACCES: `Port ${PORT} may not be used by you: ports below 1024 are for root. Choose another: PORT=8080`,
    EADDRNOTAVAIL: `This machine has no address ${FLEET_HOST}. Set FLEET_HOST to one it has; 0.0.0.0 means all.`,
    ENOTFOUND: `There is no address for the name ${FLEET_HOST}. Set FLEET_HOST to an address of this machine.`,
  };
  const sentence = advice[codeOf(error) ?? ""];
  return sentence ? new FleetError("invalid-input", sentence, { PORT, FLEET_HOST }, error) : error;
}
