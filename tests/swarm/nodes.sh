#!/usr/bin/env bash
# Nodes of a Docker Swarm on one machine. A node is a set of namespaces (network, processes, mounts,
# host name) with a Docker of its own. The network between the nodes is a bridge in a namespace of
# its own. Needs root, iproute2 and Docker's programs.
#
#   nodes.sh up N          makes the network and N nodes, each with a Docker that does nothing
#   nodes.sh kill K        cuts the power of node K
#   nodes.sh start K       gives node K power again, with the disk that it had
#   nodes.sh cut K         unplugs its network, until `mend K`
#   nodes.sh mend K        plugs it in again
#   nodes.sh down          removes all of it
#
# The nodes are 198.18.77.K. Docker of node K listens at $SWARM_STATE/nodeK/docker.sock.
set -euo pipefail
state=${SWARM_STATE:?the folder of the nodes}
readonly state prefix=pvs network=198.18.77

make_network() {
  ip netns add "$prefix-lan"
  ip -n "$prefix-lan" link set lo up
  ip -n "$prefix-lan" link add lan type bridge
  ip -n "$prefix-lan" addr add "$network.254/24" dev lan
  ip -n "$prefix-lan" link set lan up
}

# The first process of a node. All others of the node end with it.
boot() {
  local node=$1 folder=$2 cgroup=$3
  hostname "node$node"
  mount -t proc proc /proc
  # /sys must describe the network of the node, but the control groups are those of the machine.
  mount --rbind /sys/fs/cgroup "$folder/mount"
  mkdir -p /run/cgroup
  mount --move "$folder/mount" /run/cgroup
  mount -t sysfs sysfs /sys
  mount --move /run/cgroup /sys/fs/cgroup
  mount -t tmpfs tmpfs /run
  mkdir -p /run/lock
  mount --bind "$folder/docker" /var/lib/docker
  dockerd --config-file "$folder/daemon.json" --data-root /var/lib/docker --exec-root /run/docker \
    --pidfile /run/docker.pid -H "unix://$folder/docker.sock" --storage-driver overlay2 \
    --cgroup-parent "$cgroup" --log-level info &
  local docker=$!
  # The first process of a namespace must wait for every process that ends in it.
  while kill -0 "$docker" 2>/dev/null; do wait -n || true; done
}

start() {
  local node=$1 folder=$state/node$1
  mkdir -p "$folder"/{docker,mount}
  echo '{}' >"$folder/daemon.json"
  # What is left of the node from before a power cut. Its network would go by itself, but later.
  ip -n "$prefix-lan" link del "$prefix-v$node" 2>/dev/null || true
  if [[ -e /run/netns/$prefix-$node ]]; then ip netns del "$prefix-$node"; fi
  ip netns add "$prefix-$node"
  ip -n "$prefix-$node" link set lo up
  ip link add "$prefix-v$node" netns "$prefix-lan" type veth peer name eth0 netns "$prefix-$node"
  ip -n "$prefix-lan" link set "$prefix-v$node" master lan
  if [[ ! -e $folder/cut ]]; then ip -n "$prefix-lan" link set "$prefix-v$node" up; fi
  ip -n "$prefix-$node" addr add "$network.$node/24" dev eth0
  ip -n "$prefix-$node" link set eth0 up
  nsenter --net="/run/netns/$prefix-$node" \
    unshare --pid --fork --kill-child --mount --uts --ipc --propagation private \
    bash -euc "$(declare -f boot); boot \"\$@\"" boot "$node" "$folder" "/$prefix-$node" \
    >"$folder/log" 2>&1 </dev/null &
  echo $! >"$folder/pid"
}

wait_for() {
  local folder=$state/node$1
  for _ in {1..300}; do
    if docker -H "unix://$folder/docker.sock" info >/dev/null 2>&1; then return; fi
    sleep 0.1
  done
  echo "node $1 does not answer" >&2
  tail -20 "$folder/log" >&2
  return 1
}

kill_first_process() {
  local file=$state/node$1/pid pid
  if [[ -e $file ]]; then
    pid=$(<"$file")
    # After a restart of the machine, the number may be that of another process.
    if [[ /proc/$pid/ns/net -ef /run/netns/$prefix-$1 ]]; then kill -KILL "$pid"; fi
    rm "$file"
  fi
}

case $1 in
up)
  mkdir -p "$state"
  make_network
  for ((node = 1; node <= $2; node++)); do start "$node"; done
  for ((node = 1; node <= $2; node++)); do wait_for "$node"; done
  ;;
start)
  start "$2"
  wait_for "$2"
  ;;
kill)
  # First the network: processes that end would close their connections, and the kernel would go on
  # to answer for the others.
  ip -n "$prefix-lan" link set "$prefix-v$2" down
  kill_first_process "$2"
  ;;
cut)
  # The file is for a start while the network is unplugged.
  touch "$state/node$2/cut"
  ip -n "$prefix-lan" link set "$prefix-v$2" down
  ;;
mend)
  rm -f "$state/node$2/cut"
  # A node without power stays silent.
  if [[ -e $state/node$2/pid ]]; then ip -n "$prefix-lan" link set "$prefix-v$2" up; fi
  ;;
down)
  for folder in "$state"/node*; do
    if [[ -d $folder ]]; then kill_first_process "${folder##*/node}"; fi
  done
  for namespace in $(ip netns list | awk -v prefix="$prefix-" 'index($1, prefix) == 1 { print $1 }'); do
    ip netns del "$namespace"
  done
  # The last processes may still use the disks of their nodes.
  for _ in {1..100}; do
    if rm -rf "$state" 2>/dev/null; then break; fi
    sleep 0.1
  done
  find /sys/fs/cgroup -depth -type d -path "*/$prefix-*" -exec rmdir {} + 2>/dev/null || true
  ;;
esac
