#!/usr/bin/env bash
# The entrypoint of the postgres stand-in that stand-in-images.sh builds. It does what the public
# image promises about the first start, the variables and the users, in the same order. It does not
# support /docker-entrypoint-initdb.d and POSTGRES_INITDB_WALDIR.
set -euo pipefail

fail() { echo "error: $*" >&2; exit 1; }

# Sets the variable to its own value, to the contents of the file that NAME_FILE names, or to the
# default.
from_env() {
  local name=$1 file=${1}_FILE
  [[ -z ${!name:-} || -z ${!file:-} ]] ||
    fail "both $name and $file are set, but they exclude each other"
  if [[ -n ${!file:-} ]]; then
    printf -v "$name" %s "$(<"${!file}")"
  else
    printf -v "$name" %s "${!name:-${2:-}}"
  fi
}

initialise() {
  from_env POSTGRES_USER postgres
  from_env POSTGRES_DB "$POSTGRES_USER"
  from_env POSTGRES_PASSWORD
  from_env POSTGRES_INITDB_ARGS
  local auth=${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256} initdb=(initdb --username="$POSTGRES_USER")
  [[ -n $POSTGRES_PASSWORD || $auth == trust ]] ||
    fail "the database is uninitialized and no superuser password is given:" \
      "set POSTGRES_PASSWORD or POSTGRES_PASSWORD_FILE to something not empty"
  ! compgen -G '/docker-entrypoint-initdb.d/*' >/dev/null ||
    fail "this stand-in does not run /docker-entrypoint-initdb.d"

  # As in the public image, the shell splits and unquotes these, so that quoted arguments work.
  eval "initdb+=($POSTGRES_INITDB_ARGS)"
  # In a file, because the process list shows arguments.
  [[ -z $POSTGRES_PASSWORD ]] || initdb+=(--pwfile=/dev/fd/3)
  "${initdb[@]}" 3< <(printf '%s\n' "$POSTGRES_PASSWORD")
  printf '\nhost all all all %s\n' "$auth" >>"$PGDATA/pg_hba.conf"

  # Without TCP, so that no client outside the container takes this server for the real one.
  unset PGHOST PGHOSTADDR
  pg_ctl --wait --options="$(printf '%q ' "${@:2}" -c listen_addresses= -p 5432)" start
  [[ $POSTGRES_DB == postgres ]] || psql --no-psqlrc --username="$POSTGRES_USER" --dbname=postgres \
    --set=ON_ERROR_STOP=1 --set=db="$POSTGRES_DB" <<<'CREATE DATABASE :"db"'
  pg_ctl --wait --mode=fast stop
  printf '\nPostgreSQL init process complete; ready for start up.\n\n'
}

[[ ${1:-} != -* ]] || set -- postgres "$@"

# Other programs, and options that postgres answers without a database, run as they are.
[[ ${1:-} == postgres ]] || exec "$@"
for argument; do
  case $argument in
  -'?' | --help | --describe-config | -V | --version) exec "$@" ;;
  esac
done

if ((EUID == 0)); then
  mkdir -p "$PGDATA"
  # Only files that another user owns: a plain chown -R of a large database delays every start.
  find "$PGDATA" /var/run/postgresql ! -user postgres -exec chown postgres {} +
  export HOME=/var/lib/postgresql
  exec setpriv --reuid=postgres --regid=postgres --init-groups "$0" "$@"
fi

mkdir -p "$PGDATA" || fail "user $(id -u) may not write to the volume that holds $PGDATA"
# This fails if another user owns the volume. postgres itself reports a mode that it refuses.
chmod 700 "$PGDATA" 2>/dev/null || :
[[ -s $PGDATA/PG_VERSION ]] || initialise "$@"
exec "$@"
