#!/usr/bin/env bash
# Makes `docker compose` (v2) and `docker buildx` available on a host whose Docker has neither, as on Debian 12.
#
# Debian 12 ships docker-compose 1.29 only, and the usual remedy, Docker's own package archive, is a second archive to trust
# and to reach. Debian's next release packages both plugins, and a plugin is one Go binary that an older Docker runs as well.
# So the binaries are taken out of those packages, verified by apt, into this user's plugin directory; nothing is installed
# and the host's apt sources stay as they are.
#
# Usage: .ci/compose-v2.sh        To undo: rm ~/.docker/cli-plugins/docker-{compose,buildx}
set -euo pipefail

plugins=${DOCKER_CONFIG:-$HOME/.docker}/cli-plugins

working() { docker "$1" version >/dev/null 2>&1; }

missing=()
for plugin in compose buildx; do
  if working "$plugin"; then
    echo "docker $plugin already works: $(docker "$plugin" version)"
  else
    missing+=("docker-$plugin")
  fi
done
((${#missing[@]})) || exit 0

# shellcheck source=.ci/debian.sh
source "$(dirname "${BASH_SOURCE[0]}")/debian.sh"
command -v docker >/dev/null || die "there is no docker command to extend: apt-get install docker.io"

echo "fetching ${missing[*]} from Debian forky"
debian_unpack forky "$work/root" "${missing[@]}"
mkdir -p "$plugins"
for plugin in "${missing[@]}"; do
  find "$work/root/usr" -path "*/cli-plugins/$plugin" -type f -exec install -m 755 {} "$plugins/" \;
  working "${plugin#docker-}" || die "$plugin was fetched but does not run on this host"
  echo "$plugins/$plugin: $(docker "${plugin#docker-}" version)"
done
