#!/bin/bash
# Start a Docker engine of our own, without systemd; as root. Its command, for `eval`, is
# printed on standard output:
#
#   eval "$(tests/pacs/start-engine.sh DIR)"     sets DOCKER_HOST
#   tests/pacs/stop-engine.sh DIR                ends it, and removes DIR
#
# Its addresses come from TEST-NET-2 and are not masqueraded: containers reach this machine and
# each other, and nothing else.
set -euo pipefail

dir=$(realpath -m "${1:?usage: start-engine.sh DIR}")
mkdir -p "$dir"

if ! command -v dockerd >/dev/null; then
  { apt-get update && apt-get install -y --no-install-recommends docker.io; } \
    >"$dir/apt.log" 2>&1 || { tail -5 "$dir/apt.log" >&2; exit 1; }
fi

# When an address is gone, packets to it must not leave by the default route.
ip route replace unreachable 198.51.100.0/24 metric 4278198272

export DOCKER_HOST=unix://$dir/sock
if ! docker info >/dev/null 2>&1; then
  setsid dockerd --data-root "$dir/root" --exec-root "$dir/exec" --pidfile "$dir/pid" \
    --host "$DOCKER_HOST" --bip 198.51.100.193/27 --ip-masq=false \
    --default-address-pool base=198.51.100.128/26,size=28 \
    </dev/null >"$dir/log" 2>&1 &
  for _ in $(seq 300); do
    docker info >/dev/null 2>&1 && break
    sleep 0.1
  done
fi
docker info >/dev/null 2>&1 || { echo "the engine did not start:" >&2; tail -5 "$dir/log" >&2; exit 1; }
echo "export DOCKER_HOST=$DOCKER_HOST"
