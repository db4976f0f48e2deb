# shellcheck shell=bash
# Shared by stand-in-images.sh and compose-v2.sh: fetches packages of another Debian release, checks
# their signatures, and leaves the host's apt sources as they are. Sourced, never run.
#
#   DEBIAN_MIRROR   the Debian archive to use; by default the one that the host's apt uses

die() { printf '%s: %s\n' "${0##*/}" "$*" >&2; exit 1; }

# Prints the comment at the top of the script.
usage() { awk 'NR > 1 { if (!sub(/^# ?/, "")) exit; print }' "$0"; }

work=$(mktemp -d)
# apt fetches as the user _apt, who must be able to enter the folder.
chmod 755 "$work"

# finish shows a failure here even if it happens while output is redirected.
exec 3>&2
# Deletes in one file system only: a half-built root may still have the host's /proc mounted in it.
finish() {
  local status=$1
  if ((status > 0 && status < 128)) && [[ -s $work/log ]]; then
    printf '%s: failed, and the last output was:\n' "${0##*/}" >&3
    tail -n 20 "$work/log" >&3
  fi
  rm -rf --one-file-system "$work"
  exit "$status"
}
trap 'finish $?' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

keyring=/usr/share/keyrings/debian-archive-keyring.gpg
# Ends the script on a host that cannot fetch Debian packages.
need_debian() {
  command -v apt-get >/dev/null || die "there is no apt-get here: run this on a Debian host"
  [[ -r $keyring ]] ||
    die "Debian's archive keys are missing: apt-get install debian-archive-keyring"
}

# Prints the apt source line of a release.
debian_source() {
  local suite=$1 mirror=${DEBIAN_MIRROR:-}
  # The label excludes debian-security, which has the same origin. apt expands $(REPO_URI).
  # shellcheck disable=SC2016
  [[ -n $mirror ]] || mirror=$(apt-get indextargets --format '$(REPO_URI)' \
    'Created-By: Packages' 'Origin: Debian' 'Label: Debian' | sort -u | head -n 1)
  [[ -n $mirror ]] ||
    die "apt knows no Debian archive yet: run apt-get update, or set DEBIAN_MIRROR"
  # Valid-Until is not checked: in a mirror that keeps one snapshot of testing it passes in a week.
  echo "deb [signed-by=$keyring check-valid-until=no lang=none target=Packages]" \
    "$mirror $suite main"
}

# Unpacks packages of a release into a directory, in the order given. Installs no dependencies and
# runs no maintainer scripts.
debian_unpack() {
  local suite=$1 into=$2 package
  shift 2
  local apt=$work/apt-$suite
  local apt_get=(apt-get -qq -c "$apt/apt.conf")
  if [[ ! -d $apt ]]; then
    mkdir -p "$apt"/etc/apt/{apt.conf.d,preferences.d,sources.list.d} \
      "$apt"/var/lib/apt/lists/partial "$apt"/var/cache/apt/archives/partial
    touch "$apt/status"
    debian_source "$suite" >"$apt/etc/apt/sources.list"
    # apt reads this after the host's own configuration: it keeps the host's proxies and
    # certificates, and replaces the host's state and update hooks.
    cat >"$apt/apt.conf" <<-CONF
			#clear APT::Update;
			APT::Update::Error-Mode "any";
			APT::Sandbox::User "root";
			Dir "$apt";
			Dir::State::status "$apt/status";
		CONF
    "${apt_get[@]}" update || die "no usable $suite archive" \
      "(if a key is unknown, upgrade the host's debian-archive-keyring)"
  fi
  mkdir -p "$into"
  (cd "$apt" && "${apt_get[@]}" download "$@")
  for package; do dpkg-deb --extract "$apt/${package}"_*.deb "$into"; done
}
