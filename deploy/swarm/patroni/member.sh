#!/usr/bin/env bash
# Runs a member of the database: Patroni, which starts PostgreSQL. With arguments, such as `list`,
# it runs patronictl instead. $MEMBER is the name under which the other members reach this one.
#
# Patroni takes passwords from its environment, and Swarm has them in files.
set -euo pipefail
superuser=$(</run/secrets/pageviews)
replication=$(</run/secrets/pageviews_replication)
restapi=$(</run/secrets/pageviews_patroni)
export PATRONI_NAME=$MEMBER \
  PATRONI_POSTGRESQL_CONNECT_ADDRESS=$MEMBER:5432 \
  PATRONI_RESTAPI_CONNECT_ADDRESS=$MEMBER:8008 \
  PATRONI_SUPERUSER_PASSWORD=$superuser \
  PATRONI_REPLICATION_PASSWORD=$replication \
  PATRONI_RESTAPI_USERNAME=patroni PATRONI_RESTAPI_PASSWORD=$restapi
if (($#)); then exec patronictl --config-file /etc/patroni.yml "$@"; fi
exec patroni /etc/patroni.yml
