# shellcheck shell=bash
# What stand-in-images.sh and compose-v2.sh share: getting packages of another Debian release, signatures checked, without
# adding that release to the host's apt. Sourced, never run.
#
#   DEBIAN_MIRROR   the Debian archive to use; by default the one the host's own apt is configured with

die() { printf '%s: %s\n' "${0##*/}" "$*" >&2; exit 1; }

command -v apt-get >/dev/null || die "takes its pieces from Debian packages, and this host has no apt-get"

keyring=/usr/share/keyrings/debian-archive-keyring.gpg
[[ -r $keyring ]] || die "Debian's archive keys are missing: apt-get install debian-archive-keyring"

work=$(mktemp -d)
# apt fetches as the user _apt, who has to be able to pass through.
chmod 755 "$work"

# Where a failure is shown, wherever the output goes at that moment.
exec 3>&2
# One file system only, so that nothing left mounted inside a half-built root (the host's /proc, say) is ever walked into.
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

# Prints the apt source line of a release.
debian_source() {
  local suite=$1 mirror=${DEBIAN_MIRROR:-}
  # The label tells the main archive from debian-security, which has the same origin. Single quotes: apt expands this.
  # shellcheck disable=SC2016
  [[ -n $mirror ]] || mirror=$(apt-get indextargets --format '$(REPO_URI)' \
    'Created-By: Packages' 'Origin: Debian' 'Label: Debian' | sort -u | head -n 1)
  [[ -n $mirror ]] || die "apt knows no Debian archive yet: run apt-get update, or set DEBIAN_MIRROR"
  # Valid-Until is not enforced, because a mirror that froze a snapshot of testing outlives it within a week.
  echo "deb [signed-by=$keyring check-valid-until=no lang=none target=Packages] $mirror $suite main"
}

# Unpacks packages of a release into a directory, in the order given, without dependencies or maintainer scripts.
debian_unpack() {
  local suite=$1 into=$2 package
  shift 2
  local apt=$work/apt-$suite
  local apt_get=(apt-get -qq -c "$apt/apt.conf")
  if [[ ! -d $apt ]]; then
    mkdir -p "$apt"/etc/apt/{apt.conf.d,preferences.d,sources.list.d} "$apt"/var/lib/apt/lists/partial \
      "$apt"/var/cache/apt/archives/partial
    touch "$apt/status"
    debian_source "$suite" >"$apt/etc/apt/sources.list"
    # Read after the host's own configuration: proxies and certificates stay, its state and its update hooks do not.
    cat >"$apt/apt.conf" <<-CONF
			#clear APT::Update;
			APT::Update::Error-Mode "any";
			APT::Sandbox::User "root";
			Dir "$apt";
			Dir::State::status "$apt/status";
		CONF
    "${apt_get[@]}" update ||
      die "no usable $suite archive (if a key is unknown, the host's debian-archive-keyring is too old: upgrade it)"
  fi
  mkdir -p "$into"
  (cd "$apt" && "${apt_get[@]}" download "$@")
  for package; do dpkg-deb --extract "$apt/${package}"_*.deb "$into"; done
}
