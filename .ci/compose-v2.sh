#!/usr/bin/env bash
# Adds `docker compose` (v2) and `docker buildx` to a Docker that lacks them, as Debian 12's does.
# Before it fetches anything, it says which files it will put where.
#
# Usage: .ci/compose-v2.sh [--remove | --help]
#
#   --remove   deletes the plugins that this script put there, and no others
#
#   DEBIAN_MIRROR   the Debian archive to use; by default the one that the host's apt uses
#
# Debian 12 has docker-compose 1.29 only. The usual remedy is Docker's own package archive: a second
# archive to trust and to reach. Debian's next release has packages of both plugins, and a plugin is
# a single binary that older versions of Docker run as well. This script takes the binaries out of
# those packages, which apt has verified, and puts them into this user's plugin folder. It installs
# no package and leaves the host's apt sources as they are.
set -euo pipefail

# shellcheck source=.ci/debian.sh
source "$(dirname "${BASH_SOURCE[0]}")/debian.sh"

plugins=${DOCKER_CONFIG:-$HOME/.docker}/cli-plugins
# The checksums of the plugins that this script made. Docker would take a name that begins with
# `docker-` for a plugin.
made=$plugins/.pageviews-compose-v2.sha256

working() { docker "$1" version >/dev/null 2>&1; }

# A plugin with another checksum came from someone else, later.
remove() {
  local line plugin
  [[ -e $made ]] || { echo "nothing to remove: $plugins has no plugin of this script"; return; }
  while read -r line; do
    plugin=${line##* }
    if [[ ! -e $plugins/$plugin ]]; then
      echo "$plugins/$plugin: already gone"
    elif (cd "$plugins" && sha256sum --check --status <<<"$line"); then
      rm "$plugins/$plugin"
      echo "$plugins/$plugin: removed"
    else
      echo "$plugins/$plugin: kept, because it is not the file that this script put there"
    fi
  done <"$made"
  rm "$made"
}

case ${1:-} in
'') ;;
--help) usage; exit ;;
--remove) remove; exit ;;
*) die "does not know $1: see --help" ;;
esac
command -v docker >/dev/null ||
  die "there is no docker command to extend: apt-get install docker.io"

missing=()
for plugin in compose buildx; do
  file=$plugins/docker-$plugin
  if working "$plugin"; then
    echo "docker $plugin: works already, $(docker "$plugin" version)"
  elif [[ -e $file ]]; then
    die "$file does not work: delete it, then run this again"
  else
    echo "docker $plugin: missing; Debian forky's plugin will be put at $file"
    missing+=("docker-$plugin")
  fi
done
((${#missing[@]})) || exit 0

need_debian
debian_unpack forky "$work/root" "${missing[@]}"
mkdir -p "$plugins"
touch "$made"
for plugin in "${missing[@]}"; do
  binary=$(find "$work/root/usr" -path "*/cli-plugins/$plugin" -type f)
  # The mark comes first, so that no plugin can be left without one.
  sed -i "/ $plugin\$/d" "$made"
  (cd "${binary%/*}" && sha256sum "$plugin") >>"$made"
  install -m 755 "$binary" "$plugins/"
  working "${plugin#docker-}" ||
    { rm "$plugins/$plugin" && die "Debian forky's $plugin does not run on this host"; }
  echo "$plugins/$plugin: $(docker "${plugin#docker-}" version)"
done
