#!/usr/bin/env bash
# Installs schemathesis into target/schemathesis, unless it is there and works. It sends requests to
# the API and compares the answers with the API's description. To run it afterwards:
# cargo test --test system -- --ignored api_description
set -euo pipefail
cd "$(dirname "$0")/.."

version=4.32.5
home=target/schemathesis

die() { printf '%s: %s\n' "${0##*/}" "$*" >&2; exit 1; }
# The program is asked, because Python may have been replaced since pip installed it.
works() { [[ $("$home/bin/schemathesis" --version 2>/dev/null) == *" $version" ]]; }

if works; then
  echo "schemathesis $version is in $home"
  exit
fi

python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null ||
  die "Python 3.10 or newer is missing: apt-get install python3-venv"
said=$(python3 -m venv --clear "$home" 2>&1) ||
  die "python3 cannot make an environment in $home: apt-get install python3-venv"
said=$(timeout 300 "$home/bin/python" -m pip install --quiet --retries 1 --no-input \
  --disable-pip-version-check "schemathesis==$version" 2>&1) ||
  die "pip cannot install schemathesis $version (${said##*$'\n'}): let pip reach a package index"
works || die "schemathesis $version is installed in $home, but does not run there"
echo "schemathesis $version is installed in $home"
