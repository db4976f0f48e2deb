# Tags instead of digests: a rebuild gets the security fixes of the base images without a change
# here.

# The web server. The small stages come first, because the classic builder builds all stages before
# the one that is asked for.
FROM caddy:2.11 AS web
COPY Caddyfile /etc/caddy/Caddyfile

# PostgreSQL's programs, for the services `roles` and `backup`.
FROM postgres:18 AS postgres
COPY postgres/roles.sql /usr/local/share/pageviews/roles.sql
COPY postgres/backup.sh /usr/local/bin/backup
# A new volume takes its owner from this folder.
RUN install -d -m 700 -o 999 -g 999 /backups

FROM rust:1.95-slim-trixie AS build
WORKDIR /build

# The dependencies are built for an empty program, in a layer of their own. Docker uses this layer
# again after a change in src/. `RUN --mount=type=cache` would be shorter, but the classic builder
# does not support it.
COPY Cargo.toml Cargo.lock ./
# Cargo reads the manifest of this crate. The image has no private server, so nothing is compiled.
COPY private-postgres/Cargo.toml private-postgres/
RUN mkdir src private-postgres/src \
 && touch private-postgres/src/lib.rs \
 && echo 'fn main() {}' > src/main.rs \
 && cp src/main.rs build.rs \
 && touch src/lib.rs \
 && cargo build --locked --release --no-default-features \
 && rm -r src

COPY build.rs ./
COPY migrations migrations
COPY src src
# COPY keeps the times of the files, which may be older than the empty program. Cargo would then not
# build them.
RUN touch build.rs src/main.rs src/lib.rs \
 && cargo build --locked --release --no-default-features

# This image holds glibc and CA certificates, but no shell and no package manager. It is of the same
# Debian release as the builder, so both have the same glibc.
FROM gcr.io/distroless/cc-debian13:nonroot
LABEL org.opencontainers.image.title="pageviews" \
      org.opencontainers.image.description="An exact page-view counter: Rocket, PostgreSQL and Caddy" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"
# The allocator takes memory from the kernel only when it needs it. At 1,024 connections this saves
# a third of the memory. See "mimalloc" in ARCHITECTURE.md.
ENV MIMALLOC_ARENA_EAGER_COMMIT=0
WORKDIR /app
COPY Rocket.toml ./
COPY templates templates
COPY --from=build /build/target/release/pageviews ./
# A number instead of a name lets an orchestrator see that the user is not root.
USER 65532:65532
EXPOSE 8000
# The command asks /readyz: a replica without its database is not healthy. The first checks may fail
# while the replica migrates the database.
HEALTHCHECK --interval=5s --timeout=4s --start-period=30s --retries=3 CMD ["/app/pageviews", "health"]
ENTRYPOINT ["/app/pageviews"]
