# One image for all processes: docker run fleetwright web | worker | migrate | up
FROM node:22-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# Install scripts of packages are not run; Fleetwright itself does what the one for PostgreSQL would do.
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY tsconfig.json tsconfig.build.json ./
COPY scripts scripts
COPY queues queues
COPY processors processors
COPY schedules schedules
COPY src src
RUN npx tsc -p tsconfig.build.json && node scripts/copy-assets.mjs && node scripts/bundle-zod.mjs && npm prune --omit=dev --ignore-scripts --no-audit

FROM node:22-bookworm-slim
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates git procps tini tmux \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /app
COPY --from=build /app/package.json ./
COPY --from=build /app/node_modules node_modules
COPY --from=build /app/dist dist
# The forge folder is created here so that a volume mounted there belongs to the user as well.
RUN ln -s /app/dist/src/cli/bin.js /usr/local/bin/fleet && mkdir -p /data/forge && chown -R node:node /data
ENV NODE_ENV=production FLEET_HOME=/data
USER node
VOLUME /data
EXPOSE 8080
# tini reaps the processes that agents leave behind; Node as the first process would not.
ENTRYPOINT ["tini", "--", "node", "/app/dist/src/cli/bin.js"]
CMD ["up"]
