#!/usr/bin/env bash
# Starts the cluster on a swarm, or updates it: README.md beside this file says how to use it.
#
#   deploy/swarm/up.sh HOST...
#
# Run it on a manager. Each HOST is the Docker of another node, such as ssh://root@node2, and gets
# the images. With REGISTRY set, such as registry.example.com/, the nodes fetch them from there.
set -euo pipefail
shopt -s inherit_errexit
cd "$(dirname "$0")/../.."
stack=${STACK:-pageviews}

die() {
  echo "$0: $1" >&2
  exit 1
}

# The settings in .env. A variable of the shell wins, even if it is empty.
read_settings() {
  local line number=0 name value
  while IFS= read -r line || [[ -n $line ]]; do
    number=$((number + 1))
    line=${line%$'\r'}
    [[ $line =~ ^[[:space:]]*(#|$) ]] && continue
    # Whatever Compose would read in another way is refused.
    if [[ $line =~ ^([A-Z_]+)=\'([^\']*)\'$ || $line =~ ^([A-Z_]+)=\"([^\"\\$]*)\"$ ||
      $line =~ ^([A-Z_]+)=([^\ \'\"\\$]*)$ ]]; then
      name=${BASH_REMATCH[1]} value=${BASH_REMATCH[2]}
      [[ -n ${!name+set} ]] || export "$name=$value"
    else
      die ".env, line $number: write NAME='value', without anything after it"
    fi
  done <.env
}

# Tags an image by its content, so that Swarm updates a service when its image is another one.
tagged() {
  local id name
  id=$(docker image inspect --format '{{.Id}}' "$1")
  name=${REGISTRY:-}${1%%:*}:${id:7:12}
  docker tag "$1" "$name"
  echo "$name"
}

# The nodes that have a label, each with the label's value.
labels() {
  docker node ls --quiet |
    xargs docker node inspect --format "{{.ID}} {{index .Spec.Labels \"$1\"}}" | awk 'NF > 1'
}

# The nodes that the HOSTs stand for.
node_ids() {
  for host in "$@"; do docker -H "$host" info --format '{{.Swarm.NodeID}}'; done
}

# The nodes that are ready and that no HOST stands for.
forgotten() {
  local ids id status name
  ids=$(node_ids "$@")
  docker node ls --format '{{.ID}} {{.Status}} {{.Hostname}}' | while read -r id status name; do
    [[ $status != Ready || $ids == *"$id"* || $id == "$node" ]] || echo "$name"
  done
}

[[ $(docker info --format '{{.Swarm.ControlAvailable}}') == true ]] ||
  die "this Docker is no manager of a swarm; run docker swarm init, or run this on a manager"
node=$(docker info --format '{{.Swarm.NodeID}}')
if [[ -e .env ]]; then read_settings; fi
kind=${DATABASE:-postgres}
case $kind in
  postgres) databases=(db) label=pageviews.db other=patroni other_label=pageviews.member ;;
  patroni) databases=(db1 db2 db3) label=pageviews.member other=postgres other_label=pageviews.db ;;
  *) die "DATABASE is neither postgres nor patroni" ;;
esac
DATABASE_HOSTS=$(IFS=, && echo "${databases[*]}")
files=(--compose-file deploy/swarm/stack.yml --compose-file "deploy/swarm/$kind.yml")
case ${ENCRYPTION:-on} in
  on) files+=(--compose-file deploy/swarm/encrypted.yml) ;;
  off) ;;
  *) die "ENCRYPTION is neither on nor off" ;;
esac
if [[ -z ${REGISTRY:-} ]]; then
  missing=$(forgotten "$@")
  [[ -z $missing ]] || die "these nodes would get no images: ${missing//$'\n'/, }; name them too"
fi

others=$(labels "$other_label")
[[ -z $others ]] ||
  die "the data is in a database of another kind; set DATABASE=$other"
# A label numbers the nodes that keep the data. To change it later is no matter of a script.
numbers=$(labels "$label")
candidates=$(echo "$node" && node_ids "$@" && { [[ -z ${REGISTRY:-} ]] || docker node ls --quiet; })
chosen=()
for index in "${!databases[@]}"; do
  number=$((index + 1))
  ! grep -q " $number\$" <<<"$numbers" || continue
  ! docker service inspect "${stack}_${databases[index]}" >/dev/null 2>&1 ||
    die "no node has the label $label=$number any more, and data is on the one that had it"
  id=$(for id in $candidates; do
    if ! grep -q "^$id" <<<"$numbers"; then echo "$id" && break; fi
  done)
  [[ -n $id ]] || die "the database needs ${#databases[@]} nodes: name the others"
  numbers+=$'\n'"$id $number"
  chosen+=("$number $id")
done
for choice in "${chosen[@]}"; do
  docker node update --label-add "$label=${choice% *}" "${choice#* }" >/dev/null
done

if [[ -z ${SKIP_BUILD:-} ]]; then
  if command -v docker-compose >/dev/null; then docker-compose build; else docker compose build; fi
  [[ $kind != patroni ]] || docker build --tag pageviews-patroni deploy/swarm/patroni
fi
APP_IMAGE=$(tagged pageviews)
WEB_IMAGE=$(tagged pageviews-web)
TOOLS_IMAGE=$(tagged pageviews-postgres)
case $kind in
  patroni) DB_IMAGE=$(tagged pageviews-patroni) ;;
  postgres)
    docker image inspect postgres:18 >/dev/null 2>&1 || docker pull postgres:18
    DB_IMAGE=$(tagged postgres:18)
    ;;
esac
export APP_IMAGE WEB_IMAGE TOOLS_IMAGE DB_IMAGE DATABASE_HOSTS
images=("$APP_IMAGE" "$WEB_IMAGE" "$TOOLS_IMAGE" "$DB_IMAGE")
if [[ -n ${REGISTRY:-} ]]; then
  for image in "${images[@]}"; do docker push --quiet "$image"; done
else
  for host in "$@"; do docker save "${images[@]}" | docker -H "$host" load --quiet; done
fi

# Passwords, which nobody has to know: for each role of the database, and for Patroni.
for secret in pageviews{,_owner,_app,_backup,_replication,_patroni}; do
  docker secret inspect "$secret" >/dev/null 2>&1 ||
    od -An -N32 -tx1 /dev/urandom | tr -d ' \n' | docker secret create "$secret" - >/dev/null
done

docker stack deploy "${files[@]}" --resolve-image never "$stack"
echo "See what runs: docker stack ps $stack"
