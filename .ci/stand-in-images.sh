#!/usr/bin/env bash
# Provides the public base images that Dockerfile and docker-compose.yml name, on a host that reaches no image registry (an
# air-gapped site, a locked-down CI): whatever can neither be found nor pulled is built from Debian packages, under the public
# image's own name and tag, so the shipped files run unchanged. Where a registry answers, this only pulls.
#
# Usage (as root): .ci/stand-in-images.sh [--no-pull] [IMAGE...]      all the images listed below by default
#
#   DEBIAN_MIRROR   the Debian archive to build from; by default the one the host's own apt is configured with
#   PULL_TIMEOUT    seconds a pull may take before a stand-in is built instead; 60 by default
#   RUST_SYSROOT    the Rust toolchain for the rust image; by default root's own. With sudo, pass yours:
#                   sudo RUST_SYSROOT="$(rustc --print sysroot)" .ci/stand-in-images.sh
#
# Needs a Debian host with Docker, a Rust toolchain, and a Debian mirror that serves trixie and forky. Missing Debian tools are
# installed. A stand-in carries the label pageviews.stand-in=true; `docker rmi` it to make room for the real image.
#
# A stand-in has the public image's interface (users, paths, variables, signals), not its contents: see each function.
set -euo pipefail

# Those that Dockerfile and docker-compose.yml name: keep in step.
images=(
  rust:1.95-slim-trixie
  gcr.io/distroless/cc-debian13:nonroot
  postgres:18
  caddy:2.11
)

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=.ci/debian.sh
source "$here/debian.sh"
# What a build that fails between its two steps would leave behind.
base=stand-in-root:$$
trap 'status=$?; docker rmi "$base" >/dev/null 2>&1 || :; finish "$status"' EXIT

say() { printf '[%3d s] %s\n' "$SECONDS" "$*"; }

# Installs what the host lacks: pairs of command and package.
require() {
  local packages=()
  while (($#)); do
    command -v "$1" >/dev/null || packages+=("$2")
    shift 2
  done
  ((${#packages[@]})) || return 0
  say "installing ${packages[*]}"
  apt-get -qq update >"$work/log" 2>&1
  DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends "${packages[@]}" >"$work/log" 2>&1
}

# An installed Debian, slimmed as the public debian:*-slim is. Takes a suite and mmdebstrap options.
debian_root() {
  local suite=$1 source
  shift
  source=$(debian_source "$suite")
  # mmdebstrap ignores the host's apt configuration, and a mirror may only be reachable through its proxy.
  apt-config dump | grep -E '^Acquire::https?::.*Proxy' >"$work/proxy.conf" || :
  mmdebstrap --mode=root --skip=output/dev --aptopt="$work/proxy.conf" --dpkgopt=force-unsafe-io \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/info/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' \
    "$@" "$suite" "$root" "$source"
}

# The packages of a distroless base and the given ones, unpacked but not installed: no shell, no package manager.
bare_root() {
  local suite=$1
  shift
  debian_unpack "$suite" "$root" base-files libc6 ca-certificates media-types netbase tzdata "$@"
  cat "$root"/usr/share/ca-certificates/mozilla/*.crt >"$root/etc/ssl/certs/ca-certificates.crt"
  echo "hosts: files dns" >"$root/etc/nsswitch.conf"
  printf '%s\n' root:x:0:0:root:/root:/sbin/nologin nobody:x:65534:65534:nobody:/nonexistent:/sbin/nologin \
    nonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin >"$root/etc/passwd"
  cut -d : -f 1,2,4 "$root/etc/passwd" | sed 's/$/:/' >"$root/etc/group"
  rm -rf "$root"/usr/share/{info,locale,man}
  find "$root/usr/share/doc" ! -type d ! -name copyright -delete
}

# Unlike the public image: no rustup, and the host's certificates and cargo settings, so that crates download from wherever the
# host gets its own.
build_rust() {
  local variable toolchain=/usr/local/rustup/toolchains/host home=/usr/local/cargo
  # From / because a rust-toolchain.toml in the current directory would choose for rustc.
  local sysroot=${RUST_SYSROOT:-$(cd / && rustc --print sysroot)}
  [[ -x $sysroot/bin/cargo ]] || die "no Rust toolchain for $(id -un): install one with rustup, or set RUST_SYSROOT"
  [[ $sysroot != /usr ]] || die "Debian's rustc needs Debian's libraries: install Rust with rustup, or set RUST_SYSROOT"
  version=$("$sysroot/bin/rustc" --version | cut -d ' ' -f 2)

  debian_root trixie --variant=apt --include=ca-certificates,gcc,libc6-dev
  mkdir -p "$root$toolchain/bin" "$root$home/bin"
  cp "$sysroot"/bin/{cargo,rustc,rustdoc} "$root$toolchain/bin/"
  cp --recursive --no-dereference --preserve=links,mode "$sysroot/lib" "$root$toolchain/"
  rm -rf "$root$toolchain/lib/rustlib/src"
  ln -s "$toolchain"/bin/{cargo,rustc,rustdoc} "$root$home/bin/"

  # As a local certificate it survives the next update-ca-certificates in the image.
  cp "${CARGO_HTTP_CAINFO:-${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}}" \
    "$root/usr/local/share/ca-certificates/host.crt"
  chroot "$root" update-ca-certificates
  # Where crates come from, without the rest (the host's linker, flags, tokens).
  [[ ! -e ${CARGO_HOME:-$HOME/.cargo}/config.toml ]] ||
    awk '/^\[/ { keep = /^\[(source|registr|http|net)/ } keep && !/token/' "${CARGO_HOME:-$HOME/.cargo}/config.toml" \
      >"$root$home/config.toml"
  chmod -R a+w "$root/usr/local/cargo" "$root/usr/local/rustup"

  dockerfile "ENV PATH=$home/bin:$path CARGO_HOME=$home RUSTUP_HOME=/usr/local/rustup RUST_VERSION=$version" 'CMD ["bash"]'
  for variable in $(compgen -e | grep -E '^(https?_proxy|no_proxy|HTTPS?_PROXY|NO_PROXY|CARGO_(HTTP|NET|SOURCE|REGISTR).*)$' |
    grep -vE 'CAINFO|TOKEN'); do
    dockerfile "ENV $variable=\"${!variable}\""
  done
}

# The public image takes these very packages from Debian too.
build_distroless() {
  bare_root trixie libgcc-s1 libgomp1 libssl3t64 libstdc++6 libzstd1 zlib1g
  install -d -m 700 -o 65532 -g 65532 "$root/home/nonroot"
  version="13 (glibc $(dpkg-deb --field "$work"/apt-trixie/libc6_*.deb Version))"
  dockerfile "ENV PATH=$path SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt" 'USER 65532' 'WORKDIR /home/nonroot'
}

# Unlike the public image: Debian's build instead of the PostgreSQL project's, no JIT, and a shorter entrypoint.
build_postgres() {
  # Runs before the packages are configured: they would create a cluster, and a postgres user with some other id.
  cat >"$work/before-packages" <<-'HOOK'
		#!/bin/sh
		mkdir -p "$1/etc/postgresql-common/createcluster.d"
		echo 'create_main_cluster = false' >"$1/etc/postgresql-common/createcluster.d/none.conf"
		echo 'postgres:x:999:' >>"$1/etc/group"
		echo 'postgres:x:999:999::/var/lib/postgresql:/bin/bash' >>"$1/etc/passwd"
	HOOK
  chmod +x "$work/before-packages"
  debian_root forky --variant=essential --include=postgresql-18,locales --essential-hook="$work/before-packages"
  chroot "$root" localedef -i en_US -f UTF-8 en_US.UTF-8
  rm -rf "$root/usr/share/i18n"
  sed -i "s/^#listen_addresses = .*/listen_addresses = '*'/" "$root/usr/share/postgresql/18/postgresql.conf.sample"
  install -d -m 1777 -o 999 -g 999 "$root/var/lib/postgresql"
  install -d -m 3777 -o 999 -g 999 "$root/run/postgresql"
  install -m 755 "$here/stand-in-postgres.sh" "$root/usr/local/bin/docker-entrypoint.sh"
  # Single quotes: dpkg-query expands this.
  # shellcheck disable=SC2016
  version=$(chroot "$root" dpkg-query --show --showformat '${source:Upstream-Version}' postgresql-18)
  dockerfile "ENV PATH=$path:/usr/lib/postgresql/18/bin LANG=en_US.utf8 PG_MAJOR=18 PGDATA=/var/lib/postgresql/18/docker" \
    'VOLUME /var/lib/postgresql' 'ENTRYPOINT ["docker-entrypoint.sh"]' 'STOPSIGNAL SIGINT' 'EXPOSE 5432' 'CMD ["postgres"]'
}

# Unlike the public image: Debian's build of Caddy, and glibc and Debian's busybox where that one is Alpine.
build_caddy() {
  bare_root forky busybox caddy
  chroot "$root" /usr/bin/busybox --install -s
  # As in the public image: without this capability in its bounding set a container cannot even execute the file.
  setcap cap_net_bind_service=+ep "$root/usr/bin/caddy"
  mkdir -p "$root/srv"
  install -d -m 1777 "$root/config/caddy" "$root/data/caddy"
  version=$(dpkg-deb --field "$work"/apt-forky/caddy_*.deb Version)
  version=${version%-*}
  dockerfile "ENV PATH=$path XDG_CONFIG_HOME=/config XDG_DATA_HOME=/data" 'EXPOSE 80 443 443/udp 2019' 'WORKDIR /srv' \
    'CMD ["caddy", "run", "--config", "/etc/caddy/Caddyfile", "--adapter", "caddyfile"]'
}

dockerfile() { printf '%s\n' "$@" >>"$work/Dockerfile"; }

# Builds the stand-in of one image: a builder fills $root, sets $version and writes what a Dockerfile would say of the image.
build() {
  local image=$1 builder=build_$2 started=$SECONDS wanted=${1##*:}
  local root=$work/root version
  ((EUID == 0)) || die "building a stand-in takes root (chroot, file owners, file capabilities)"
  require mmdebstrap mmdebstrap setcap libcap2-bin
  say "$image: building a stand-in"
  echo "FROM $base" >"$work/Dockerfile"
  # A plain command, for errexit is off inside anything tested with || or if. On failure debian.sh shows the log's end.
  "$builder" >"$work/log" 2>&1
  dockerfile 'LABEL pageviews.stand-in=true' \
    "LABEL org.opencontainers.image.title=\"$image stand-in\" org.opencontainers.image.version=\"$version\""
  # Import keeps file capabilities and needs no copy of the root, but engine 20.10 lets it set no STOPSIGNAL: hence a build.
  tar --numeric-owner --xattrs --xattrs-include=security.capability -C "$root" -c . | docker import - "$base" >/dev/null
  docker build --tag "$image" - <"$work/Dockerfile" >"$work/log" 2>&1
  docker rmi "$base" >/dev/null
  : >"$work/log"
  rm -rf --one-file-system "$root"
  say "$image: built in $((SECONDS - started)) s, a stand-in with $version"
  # A tag that promises nothing (nonroot) cannot be broken.
  [[ ! $wanted =~ ^[0-9] || $version == "${wanted%%-*}".* ]] || say "$image: BEWARE, the stand-in has $version instead"
}

pull() {
  local image=$1 limit=${PULL_TIMEOUT:-60} reason
  [[ -n $pulling ]] || return 1
  if ! timeout "$limit" docker pull --quiet "$image" >/dev/null 2>"$work/pull"; then
    reason=$(tail -n 1 "$work/pull")
    say "$image: cannot be pulled (${reason:-not done after $limit s})"
    return 1
  fi
}

pulling=yes
[[ ${1:-} != --no-pull ]] || { pulling='' && shift; }
(($# == 0)) || images=("$@")
path=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

command -v docker >/dev/null || die "there is no docker command: apt-get install docker.io"
docker version >/dev/null 2>&1 || die "no Docker engine answers: is it running, and may $(id -un) use it?"

for image in "${images[@]}"; do
  case $image in
  rust:1.*-slim-trixie) builder=rust ;;
  gcr.io/distroless/cc-debian13:nonroot) builder=distroless ;;
  postgres:18) builder=postgres ;;
  caddy:2.*) builder=caddy ;;
  *) die "$image is none of the images this script knows" ;;
  esac
  if docker image inspect "$image" >/dev/null 2>&1; then
    say "$image: present"
  elif pull "$image"; then
    say "$image: pulled"
  else
    build "$image" "$builder"
  fi
done
