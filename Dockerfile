# The gateway as an image: `docker build -t sluice .`
#
#     docker run --read-only --tmpfs /tmp -v ./config:/etc/sluice:ro -v sluice-state:/var/lib/sluice \
#       -p 80:8080 -p 443:8443 -p 127.0.0.1:15021:15021 sluice
#
# It needs no root and writes to nothing but its state. Give it more than the usual 10 seconds to stop
# (`--stop-timeout 50`): on SIGTERM it finishes what it serves first, at most `drainDuration`, 45 s by default.

ARG NODE_IMAGE=node:26-bookworm-slim

FROM ${NODE_IMAGE} AS build
WORKDIR /build
COPY package.json package-lock.json ./
# No install scripts: none of the dependencies needs one, but for the `node` package, and Node is here already.
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY tsconfig.json tsconfig.build.json ./
COPY src ./src
# Plain JavaScript instead of the sources, though Node runs both: stripping types costs more than loading and running
# a module. 150 modules of 100 lines took about 55 ms from `dist` and 220 ms from `src`, and each worker loads
# them again.
RUN npm run build
RUN npm ci --omit=dev --ignore-scripts --prefer-offline --no-audit --no-fund

FROM ${NODE_IMAGE}
WORKDIR /app
ENV NODE_ENV=production \
    SLUICE_CONFIG=/etc/sluice \
    SLUICE_STATE=/var/lib/sluice
RUN install -d /etc/sluice && install -d -o 65532 -g 65532 -m 0750 /var/lib/sluice
COPY --from=build /build/node_modules ./node_modules
COPY --from=build /build/dist ./dist
COPY package.json LICENSE ./
COPY src/cli/sluice.js ./src/cli/
COPY config ./config
# In numbers, so that Kubernetes can see that it is not root (runAsNonRoot).
USER 65532:65532
# Certificates, account keys, the last good configuration: what must outlive the container.
VOLUME ["/var/lib/sluice"]
# HTTP and HTTPS (a Gateway's 80 and 443), health and metrics. The admin port listens inside the container only.
EXPOSE 8080 8443 15021
HEALTHCHECK --interval=10s --timeout=3s --start-period=15s --retries=3 \
  CMD ["node", "-e", "fetch('http://127.0.0.1:15021/healthz/ready').then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["node", "/app/src/cli/sluice.js"]
CMD ["run"]
