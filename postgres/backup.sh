#!/usr/bin/env bash
# Backs up the database at start and then once a day, into /backups. Each backup is restored into an
# empty server of its own before it gets its name. After BACKUP_DAYS days it is deleted.
set -euo pipefail
# Bash ignores errexit in $(…) without this, so a restore that fails would seem to succeed.
shopt -s inherit_errexit
umask 077
cd /backups
scratch=/backups/scratch
export PGPASSFILE=/tmp/pgpass

say() { echo "$(date -u +%FT%TZ) $*"; }

# Prints the sum of all views.
views() { psql -qXAt -c 'SELECT coalesce(sum(views), 0) FROM pages' "$@"; }

# Restores the file `unfinished` into a new server, and prints the sum of all views there.
restore() {
  # A backup that was interrupted has left its server's files behind.
  rm -rf "$scratch"
  initdb --pgdata="$scratch" --username="$PGUSER" --auth=trust --no-sync >/dev/null
  trap 'pg_ctl --pgdata="$scratch" --mode=immediate --silent stop; rm -rf "$scratch"' EXIT
  # Only this container reaches the server, and its data need not survive.
  pg_ctl --pgdata="$scratch" --silent --log="$scratch/log" --options="-c listen_addresses= \
    -c unix_socket_directories=$scratch -c fsync=off -c shared_buffers=16MB" start
  # The roles that own and use the tables are missing there.
  pg_restore --exit-on-error --no-owner --no-acl --host="$scratch" --dbname=postgres unfinished
  views --host="$scratch" --dbname=postgres
}

backup() {
  local name before restored started=$SECONDS
  # At each backup, because the password may have changed.
  printf '*:*:*:*:%s\n' "$(</run/secret/database-password)" >"$PGPASSFILE"
  before=$(views)
  pg_dump --format=custom --file=unfinished
  restored=$(restore)
  if ((restored < before)); then
    say "ERROR: the backup has $restored views, and the database had $before already"
    return 1
  fi
  name=pageviews-$(date -u +%Y-%m-%dT%H-%M-%SZ).dump
  mv unfinished "$name"
  ln -f "$name" latest.dump
  find . -name 'pageviews-*.dump' -mmin "+$((BACKUP_DAYS * 24 * 60))" -delete
  say "INFO: $name with $restored views, $(stat -c %s "$name") bytes, restored on trial" \
    "in $((SECONDS - started)) s"
}

if [[ ! $BACKUP_DAYS =~ ^[1-9][0-9]{0,4}$ ]]; then
  say "ERROR: BACKUP_DAYS is \"$BACKUP_DAYS\"; set a number of days, such as 14"
  exit 1
fi
while true; do
  # In the background, because errexit has no effect in a condition.
  backup &
  if wait "$!"; then
    sleep 1d
  else
    say "ERROR: no backup was made; trying again in 10 minutes"
    sleep 10m
  fi
done
