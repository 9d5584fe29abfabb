# mcp-proxy over HTTP in a container. Needs BuildKit.
#
#   of the published package:  mcp-proxy template show dockerfile | docker build -t mcp-proxy -
#   of a checkout:             npm pack && docker build -t mcp-proxy --build-arg PACKAGE=./mcp-proxy-server-0.1.0.tgz .
#
# The base has node, npm and npx for the servers you start. For Python servers take this image as a base and add uv.
ARG NODE_IMAGE=node:24-alpine

FROM ${NODE_IMAGE} AS build
ARG PACKAGE=mcp-proxy-server
# The context is only looked at: nothing of it but the package reaches the image.
RUN --mount=type=bind,target=/context \
    cd /context && npm install --global --prefix /opt/mcp-proxy --ignore-scripts --no-audit --no-fund "$PACKAGE" \
    && mkdir -p /data /config

FROM ${NODE_IMAGE}
COPY --from=build /opt/mcp-proxy /opt/mcp-proxy
COPY --from=build --chown=1000:1000 /data /data
COPY --from=build /config /config
# All that is written lies below /data: token, cache, npm's packages. The rest may be read-only.
ENV PATH=/opt/mcp-proxy/bin:$PATH \
    NODE_ENV=production \
    HOME=/data \
    MCP_PROXY_HOME=/data \
    MCP_PROXY_CONFIG=/config/mcp-proxy.json \
    MCP_PROXY_LOG_FORMAT=json \
    MCP_PROXY__INSTALLED_BY=container
WORKDIR /data
VOLUME /data
USER 1000:1000
EXPOSE 3050
HEALTHCHECK --interval=15s --timeout=3s --start-period=20s \
  CMD ["node", "-e", "fetch('http://127.0.0.1:3050/healthz').then(r=>process.exit(r.ok?0:1),()=>process.exit(1))"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["mcp-proxy"]
CMD ["serve", "--http", "--host", "0.0.0.0", "--port", "3050"]
