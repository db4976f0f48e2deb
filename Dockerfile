# Tags, not digests: base images get their security fixes by rebuilding, without a change here.
FROM rust:1.95-slim-trixie AS build
WORKDIR /build

# Dependencies in a layer of their own, built for a program that is empty: a change in src/ leaves it as it is.
# `RUN --mount=type=cache` would be shorter, but the classic builder does not know it.
COPY Cargo.toml Cargo.lock ./
RUN mkdir src \
 && echo 'fn main() {}' > src/main.rs \
 && cp src/main.rs build.rs \
 && touch src/lib.rs \
 && cargo build --locked --release --no-default-features \
 && rm -r src

COPY build.rs ./
COPY migrations migrations
COPY src src
# COPY keeps the files' times, which may be older than the empty program's.
RUN touch build.rs src/main.rs src/lib.rs \
 && cargo build --locked --release --no-default-features

# glibc, CA certificates and nothing else: no shell, no package manager. Of the builder's release, so one glibc.
FROM gcr.io/distroless/cc-debian13:nonroot
LABEL org.opencontainers.image.title="pageviews" \
      org.opencontainers.image.description="An exact page-view counter: Rocket, PostgreSQL and Caddy" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"
# Memory is taken from the kernel as it is needed: at 1,024 connections a third less of it. See "mimalloc" in ARCHITECTURE.md.
ENV MIMALLOC_ARENA_EAGER_COMMIT=0
WORKDIR /app
COPY Rocket.toml ./
COPY templates templates
COPY --from=build /build/target/release/pageviews ./
# A number, so that an orchestrator can see that it is not root.
USER 65532:65532
EXPOSE 8000
# /readyz: a replica without its database is not healthy. The first checks may fail while it migrates.
HEALTHCHECK --interval=5s --timeout=4s --start-period=30s --retries=3 CMD ["/app/pageviews", "health"]
ENTRYPOINT ["/app/pageviews"]
