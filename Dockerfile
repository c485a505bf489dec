# SPDX-License-Identifier: Apache-2.0
#
# The Storefront sample as a small image: Swift and the headers stay in the build stage.

FROM swift:6.3-bookworm AS build
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends libhiredis-dev zlib1g-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY . .
RUN swift build -c release --static-swift-stdlib --product Storefront \
    && cp "$(swift build -c release --static-swift-stdlib --show-bin-path)/Storefront" /Storefront

FROM debian:bookworm-slim
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends libhiredis0.14 libstdc++6 ca-certificates curl openssl \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin storefront
COPY --from=build /Storefront /usr/local/bin/Storefront
# A number: Kubernetes cannot tell from a name that it is not root.
USER 10001
ENV STOREFRONT_HOST=0.0.0.0 STOREFRONT_PORT=8080
EXPOSE 8080
HEALTHCHECK --interval=5s --timeout=2s --start-period=5s --retries=3 \
    CMD ["curl", "--fail", "--silent", "--max-time", "2", "http://127.0.0.1:8080/healthz"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/local/bin/Storefront"]
