#!/usr/bin/env bash
# Entrypoint of the postgres stand-in that stand-in-images.sh builds: what the public image promises about a first start, its
# variables and its users, in the same order. Not here: /docker-entrypoint-initdb.d, POSTGRES_INITDB_WALDIR.
set -euo pipefail

fail() { echo "error: $*" >&2; exit 1; }

# The variable, or what the file named by its _FILE twin holds, or the default.
from_env() {
  local name=$1 file=${1}_FILE
  [[ -z ${!name:-} || -z ${!file:-} ]] || fail "both $name and $file are set, but they exclude each other"
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
  [[ -n $POSTGRES_PASSWORD || $auth == trust ]] || fail "the database is uninitialized and no superuser password is given:" \
    "set POSTGRES_PASSWORD or POSTGRES_PASSWORD_FILE to something not empty"
  ! compgen -G '/docker-entrypoint-initdb.d/*' >/dev/null || fail "this stand-in does not run /docker-entrypoint-initdb.d"

  # The public image lets the shell split and unquote these, so that quoted arguments work.
  eval "initdb+=($POSTGRES_INITDB_ARGS)"
  # A file rather than an argument, because arguments show in the process list.
  [[ -z $POSTGRES_PASSWORD ]] || initdb+=(--pwfile=/dev/fd/3)
  "${initdb[@]}" 3< <(printf '%s\n' "$POSTGRES_PASSWORD")
  printf '\nhost all all all %s\n' "$auth" >>"$PGDATA/pg_hba.conf"

  # Without TCP, so that nobody outside the container takes this server for the real one.
  unset PGHOST PGHOSTADDR
  pg_ctl --wait --options="$(printf '%q ' "${@:2}" -c listen_addresses= -p 5432)" start
  [[ $POSTGRES_DB == postgres ]] || psql --no-psqlrc --username="$POSTGRES_USER" --dbname=postgres \
    --set=ON_ERROR_STOP=1 --set=db="$POSTGRES_DB" <<<'CREATE DATABASE :"db"'
  pg_ctl --wait --mode=fast stop
  printf '\nPostgreSQL init process complete; ready for start up.\n\n'
}

[[ ${1:-} != -* ]] || set -- postgres "$@"

# Another program, or a question postgres answers without a database.
[[ ${1:-} == postgres ]] || exec "$@"
for argument; do
  case $argument in
  -'?' | --help | --describe-config | -V | --version) exec "$@" ;;
  esac
done

if ((EUID == 0)); then
  mkdir -p "$PGDATA"
  # Only what is not yet right: a plain chown -R over a large database delays every start.
  find "$PGDATA" /var/run/postgresql ! -user postgres -exec chown postgres {} +
  export HOME=/var/lib/postgresql
  exec setpriv --reuid=postgres --regid=postgres --init-groups "$0" "$@"
fi

mkdir -p "$PGDATA" || fail "user $(id -u) may not write to the volume that holds $PGDATA"
# Not ours to change when the volume belongs to somebody else; postgres says so itself if the mode matters.
chmod 700 "$PGDATA" 2>/dev/null || :
[[ -s $PGDATA/PG_VERSION ]] || initialise "$@"
exec "$@"
