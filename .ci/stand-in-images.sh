#!/usr/bin/env bash
# Provides the base images that Dockerfile and docker-compose.yml name, on a host that reaches no
# image registry. A missing image is pulled. If that fails, the script builds a stand-in from Debian
# packages and gives it the public image's name and tag, so that the shipped files work unchanged.
# Before it makes anything, it lists what it will make.
#
# Usage, as root: .ci/stand-in-images.sh [--no-pull] [IMAGE...]
#                 .ci/stand-in-images.sh --remove | --help
#
#   IMAGE       provides only this image; without it, every image but postgres:17, which only the
#               test of an upgrade needs
#   --no-pull   builds without trying to pull
#   --remove    removes the stand-ins (their label is pageviews.stand-in=true) and no other image
#
#   DEBIAN_MIRROR   the Debian archive to use; by default the one that the host's apt uses
#   PULL_TIMEOUT    the seconds after which a pull has failed; 60 by default
#   RUST_SYSROOT    the Rust toolchain for the rust image; by default root's own. With sudo:
#                   sudo RUST_SYSROOT="$(rustc --print sysroot)" .ci/stand-in-images.sh
#
# A build needs a Debian host with Docker, a Rust toolchain, and a Debian mirror that has trixie and
# forky. It installs mmdebstrap and libcap2-bin where they are missing; --remove leaves them there.
#
# A stand-in has the public image's users, paths, variables and signals. Its contents differ: see
# each function. To replace a stand-in with the public image, `docker pull` it.
set -euo pipefail

# Keep in step with Dockerfile and docker-compose.yml.
images=(
  rust:1.95-slim-trixie
  gcr.io/distroless/cc-debian13:nonroot
  postgres:18
  caddy:2.11
)

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=.ci/debian.sh
source "$here/debian.sh"
label=pageviews.stand-in
path=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
# A build that fails between its two steps must not leave this image behind.
base=stand-in-root:$$
trap 'status=$?; docker rmi "$base" >/dev/null 2>&1 || :; finish "$status"' EXIT

say() { printf '[%3d s] %s\n' "$SECONDS" "$*"; }

# Prints the Debian packages that a build would install on this host.
missing_tools() {
  command -v mmdebstrap >/dev/null || echo mmdebstrap
  command -v setcap >/dev/null || echo libcap2-bin
}

# Fills $root with an installed Debian, as slim as the public debian:*-slim. Takes a suite and
# options of mmdebstrap.
debian_root() {
  local suite=$1 source
  shift
  source=$(debian_source "$suite")
  # mmdebstrap ignores the host's apt configuration, but may need its proxy to reach the mirror.
  apt-config dump | grep -E '^Acquire::https?::.*Proxy' >"$work/proxy.conf" || :
  mmdebstrap --mode=root --skip=output/dev --aptopt="$work/proxy.conf" --dpkgopt=force-unsafe-io \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/info/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' \
    "$@" "$suite" "$root" "$source"
}

# Fills $root with the packages of a distroless base and the given ones. They are unpacked but not
# installed, so that there is no shell and no package manager.
bare_root() {
  local suite=$1
  shift
  debian_unpack "$suite" "$root" base-files libc6 ca-certificates media-types netbase tzdata "$@"
  cat "$root"/usr/share/ca-certificates/mozilla/*.crt >"$root/etc/ssl/certs/ca-certificates.crt"
  echo "hosts: files dns" >"$root/etc/nsswitch.conf"
  printf '%s\n' root:x:0:0:root:/root:/sbin/nologin \
    nobody:x:65534:65534:nobody:/nonexistent:/sbin/nologin \
    nonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin >"$root/etc/passwd"
  cut -d : -f 1,2,4 "$root/etc/passwd" | sed 's/$/:/' >"$root/etc/group"
  rm -rf "$root"/usr/share/{info,locale,man}
  find "$root/usr/share/doc" ! -type d ! -name copyright -delete
}

# Unlike the public image, this one has no rustup. It has the host's certificates and cargo
# settings, so that it downloads crates from where the host does.
build_rust() {
  local variable toolchain=/usr/local/rustup/toolchains/host home=/usr/local/cargo
  local settings=${CARGO_HOME:-$HOME/.cargo}/config.toml
  # In /, because a rust-toolchain.toml in the current directory would choose the toolchain.
  local sysroot=${RUST_SYSROOT:-$(cd / && rustc --print sysroot)}
  local remedy="install Rust with rustup, or set RUST_SYSROOT"
  [[ -x $sysroot/bin/cargo ]] || die "there is no Rust toolchain for $(id -un): $remedy"
  [[ $sysroot != /usr ]] || die "Debian's rustc needs Debian's libraries: $remedy"
  version=$("$sysroot/bin/rustc" --version | cut -d ' ' -f 2)

  debian_root trixie --variant=apt --include=ca-certificates,gcc,libc6-dev
  mkdir -p "$root$toolchain/bin" "$root$home/bin"
  cp "$sysroot"/bin/{cargo,rustc,rustdoc} "$root$toolchain/bin/"
  cp --recursive --no-dereference --preserve=links,mode "$sysroot/lib" "$root$toolchain/"
  rm -rf "$root$toolchain/lib/rustlib/src"
  ln -s "$toolchain"/bin/{cargo,rustc,rustdoc} "$root$home/bin/"

  # A local certificate, because the image's next update-ca-certificates keeps those.
  cp "${CARGO_HTTP_CAINFO:-${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}}" \
    "$root/usr/local/share/ca-certificates/host.crt"
  chroot "$root" update-ca-certificates
  # Only where crates come from, and not the host's linker, flags or tokens.
  [[ ! -e $settings ]] || awk '/^\[/ { keep = /^\[(source|registr|http|net)/ } keep && !/token/' \
    "$settings" >"$root$home/config.toml"
  chmod -R a+w "$root/usr/local/cargo" "$root/usr/local/rustup"

  dockerfile "ENV PATH=$home/bin:$path CARGO_HOME=$home RUSTUP_HOME=/usr/local/rustup" \
    "ENV RUST_VERSION=$version" 'CMD ["bash"]'
  for variable in $(compgen -e | grep -vE 'CAINFO|TOKEN' |
    grep -E '^(https?_proxy|no_proxy|HTTPS?_PROXY|NO_PROXY|CARGO_(HTTP|NET|SOURCE|REGISTR).*)$'); do
    dockerfile "ENV $variable=\"${!variable}\""
  done
}

# The public image has the same packages of Debian.
build_distroless() {
  bare_root trixie libgcc-s1 libgomp1 libssl3t64 libstdc++6 libzstd1 zlib1g
  install -d -m 700 -o 65532 -g 65532 "$root/home/nonroot"
  version="13 (glibc $(dpkg-deb --field "$work"/apt-trixie/libc6_*.deb Version))"
  dockerfile "ENV PATH=$path SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt" \
    'USER 65532' 'WORKDIR /home/nonroot'
}

# Unlike the public image, this one has Debian's build of PostgreSQL instead of the project's own,
# no JIT, and a shorter entrypoint.
build_postgres() {
  local major=${image##*:} suite=forky volume=/var/lib/postgresql
  local data=$volume/$major/docker
  # The public image has this layout until version 17.
  [[ $major != 17 ]] || { suite=trixie volume=/var/lib/postgresql/data; data=$volume; }
  # Runs before the packages are configured. Without it they would create a database cluster, and a
  # user postgres with another id.
  cat >"$work/before-packages" <<-'HOOK'
		#!/bin/sh
		mkdir -p "$1/etc/postgresql-common/createcluster.d"
		echo 'create_main_cluster = false' >"$1/etc/postgresql-common/createcluster.d/none.conf"
		echo 'postgres:x:999:' >>"$1/etc/group"
		echo 'postgres:x:999:999::/var/lib/postgresql:/bin/bash' >>"$1/etc/passwd"
	HOOK
  chmod +x "$work/before-packages"
  # With apt, for an image that adds packages.
  debian_root "$suite" --variant=essential --include="apt,postgresql-$major,locales" \
    --essential-hook="$work/before-packages"
  chroot "$root" localedef -i en_US -f UTF-8 en_US.UTF-8
  rm -rf "$root/usr/share/i18n"
  sed -i "s/^#listen_addresses = .*/listen_addresses = '*'/" \
    "$root/usr/share/postgresql/$major/postgresql.conf.sample"
  install -d -m 1777 -o 999 -g 999 "$root/var/lib/postgresql" "$root$volume"
  install -d -m 3777 -o 999 -g 999 "$root/run/postgresql"
  install -m 755 "$here/stand-in-postgres.sh" "$root/usr/local/bin/docker-entrypoint.sh"
  # dpkg-query expands ${source:Upstream-Version}.
  # shellcheck disable=SC2016
  version=$(chroot "$root" \
    dpkg-query --show --showformat '${source:Upstream-Version}' "postgresql-$major")
  dockerfile "ENV PATH=$path:/usr/lib/postgresql/$major/bin LANG=en_US.utf8" \
    "ENV PG_MAJOR=$major PGDATA=$data" "VOLUME $volume" \
    'ENTRYPOINT ["docker-entrypoint.sh"]' 'STOPSIGNAL SIGINT' 'EXPOSE 5432' 'CMD ["postgres"]'
}

# Unlike the public image, this one has Debian's build of Caddy, and Debian's glibc and busybox
# instead of Alpine's musl and busybox.
build_caddy() {
  bare_root forky busybox caddy
  chroot "$root" /usr/bin/busybox --install -s
  # As in the public image. A container without this capability in its bounding set cannot execute
  # the file at all.
  setcap cap_net_bind_service=+ep "$root/usr/bin/caddy"
  mkdir -p "$root/srv"
  install -d -m 1777 "$root/config/caddy" "$root/data/caddy"
  version=$(dpkg-deb --field "$work"/apt-forky/caddy_*.deb Version)
  version=${version%-*}
  dockerfile "ENV PATH=$path XDG_CONFIG_HOME=/config XDG_DATA_HOME=/data" \
    'EXPOSE 80 443 443/udp 2019' 'WORKDIR /srv' \
    'CMD ["caddy", "run", "--config", "/etc/caddy/Caddyfile", "--adapter", "caddyfile"]'
}

dockerfile() { printf '%s\n' "$@" >>"$work/Dockerfile"; }

# Sets $builder, which builds the image, and $source, which describes what it builds from.
recipe() {
  case $1 in
  rust:1.*-slim-trixie) builder=rust source="packages of Debian trixie and this host's Rust" ;;
  gcr.io/distroless/cc-debian13:nonroot) builder=distroless source="packages of Debian trixie" ;;
  postgres:17) builder=postgres source="packages of Debian trixie" ;;
  postgres:18) builder=postgres source="packages of Debian forky" ;;
  caddy:2.*) builder=caddy source="packages of Debian forky" ;;
  *) die "$1 is none of the images that this script knows: ${images[*]}" ;;
  esac
}

# Builds the stand-in of one image. Its builder fills $root, sets $version and writes the lines that
# a Dockerfile would have for it.
build() {
  local image=$1 builder source started wanted=${1##*:} root=$work/root version
  recipe "$image"
  need_debian
  ((EUID == 0)) || die "$image has to be built, and that takes root: run this with sudo"
  if ((${#tools[@]})); then
    say "installing ${tools[*]} on this host"
    apt-get -qq update >"$work/log" 2>&1
    DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends "${tools[@]}" \
      >"$work/log" 2>&1
    tools=()
  fi
  started=$SECONDS
  say "$image: building a stand-in"
  # An image that is built on a stand-in inherits its labels, and must not count as one.
  printf '%s\n' "FROM $base" "ONBUILD LABEL $label=base" >"$work/Dockerfile"
  # A plain command, because `||` or `if` would switch errexit off in it. On failure, debian.sh
  # shows the end of the log.
  "build_$builder" >"$work/log" 2>&1
  dockerfile "LABEL org.opencontainers.image.title=\"$image stand-in\"" \
    "LABEL org.opencontainers.image.version=\"$version\""
  # Import keeps file capabilities and needs no copy of the root. A build follows, because import
  # cannot set STOPSIGNAL in engine 20.10.
  tar --numeric-owner --xattrs --xattrs-include=security.capability -C "$root" -c . |
    docker import --change "LABEL $label=true" - "$base" >/dev/null
  docker build --tag "$image" - <"$work/Dockerfile" >"$work/log" 2>&1
  docker rmi "$base" >/dev/null
  : >"$work/log"
  rm -rf --one-file-system "$root"
  say "$image: built in $((SECONDS - started)) s, a stand-in with $version"
  # A tag without a number, such as nonroot, promises no version.
  [[ ! $wanted =~ ^[0-9] || $version == "${wanted%%-*}".* ]] ||
    say "$image: BEWARE, the stand-in has $version instead"
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

# Removes what has the label. An image that a container uses stays.
remove() {
  local made image id rest status=0
  made=$(docker images --filter "label=$label=true" --format '{{.Repository}}:{{.Tag}} {{.ID}}')
  [[ -n $made ]] || { say "nothing to remove: no image has the label $label=true" && return; }
  while read -r image id; do
    # A stand-in without a name: the public image was pulled since.
    [[ $image != '<none>:<none>' ]] || image=$id
    if docker rmi "$image" >"$work/removed" 2>&1; then
      say "$image: removed"
      grep -q ^Deleted "$work/removed" ||
        say "$image: its layers stay until the images that were built on it are removed"
    else
      rest=$(tail -n 1 "$work/removed")
      if [[ $rest =~ container\ [0-9a-f]+ ]]; then
        rest="in use by ${BASH_REMATCH[0]}: docker-compose down or docker rm, then run this again"
      fi
      say "$image: not removed, $rest" >&2
      status=1
    fi
  done <<<"$made"
  return "$status"
}

pulling=yes removing=''
while [[ ${1:-} == -* ]]; do
  case $1 in
  --help) usage; exit ;;
  --no-pull) pulling='' ;;
  --remove) removing=yes ;;
  *) die "does not know $1: see --help" ;;
  esac
  shift
done

command -v docker >/dev/null || die "there is no docker command: apt-get install docker.io"
docker version >/dev/null 2>&1 ||
  die "no Docker engine answers: is it running, and may $(id -un) use it?"
if [[ -n $removing ]]; then
  (($# == 0)) || die "--remove takes no image: it removes every stand-in"
  remove
  exit
fi

(($#)) || set -- "${images[@]}"
missing=()
for image; do
  recipe "$image"
  if docker image inspect "$image" >/dev/null 2>&1; then
    say "$image: present"
  else
    say "$image: missing, will be ${pulling:+pulled or, if that fails, }built from $source"
    missing+=("$image")
  fi
done
((${#missing[@]})) || exit 0
mapfile -t tools < <(missing_tools)
say "a build will install on this host: ${tools[*]:-nothing}"

for image in "${missing[@]}"; do
  if pull "$image"; then
    say "$image: pulled"
  else
    build "$image"
  fi
done
