#!/bin/bash
# End the engine of start-engine.sh with its containers, and remove its folder.
set -euo pipefail

dir=$(realpath -m "${1:?usage: stop-engine.sh DIR}")
if [ -f "$dir/pid" ]; then
  pid=$(cat "$dir/pid")
  # The process must be ours: a number alone may belong to another by now.
  if tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline" | grep -q -- "--pidfile $dir/pid"; then
    export DOCKER_HOST=unix://$dir/sock
    docker ps --quiet | xargs --no-run-if-empty docker rm --force >/dev/null || true
    kill "$pid"
    for _ in $(seq 150); do
      [ -e "/proc/$pid" ] || break
      sleep 0.1
    done
    [ ! -e "/proc/$pid" ] || kill -9 "$pid"
  fi
fi
if [ -e "$dir/sock" ] || [ -e "$dir/log" ]; then
  awk -v d="$dir/" 'index($2, d) == 1 { print $2 }' /proc/mounts | sort -r |
    xargs --no-run-if-empty umount --lazy || true
  rm -rf "$dir"
fi
