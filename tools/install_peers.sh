#!/bin/bash
# Install what the tests talk to: Orthanc, DCMTK, and the tools that cut their network.
# Does nothing when all of it is there. Without it the tests that need it skip, loudly;
# where CI=true that is a failure, so that no run passes by skipping.
set -euo pipefail

packages=(orthanc orthanc-dicomweb dcmtk iproute2 nftables curl)

missing() {
  local command
  export PATH=$PATH:/usr/sbin:/sbin
  for command in Orthanc dcmqrscp storescp storescu getscu ip nft tc curl; do
    command -v "$command" >/dev/null || echo "$command"
  done
  [ -e /usr/share/orthanc/plugins/libOrthancDicomWeb.so ] || echo libOrthancDicomWeb.so
}

give_up() {
  echo "*** $1: $(missing | paste -sd' ')" >&2
  echo "*** To install them: apt-get install --no-install-recommends ${packages[*]}" >&2
  if [ "${CI:-}" = true ]; then exit 1; fi
  echo "*** Tests against a real PACS will be SKIPPED." >&2
  exit 0
}

[ -n "$(missing)" ] || exit 0
command -v apt-get >/dev/null || give_up "not a Debian or Ubuntu machine, and missing"
as_root=()
if [ "$(id -u)" != 0 ]; then
  sudo -n true 2>/dev/null || give_up "not root, and missing"
  as_root=(sudo -n)
fi
echo "installing ${packages[*]}"
{
  "${as_root[@]}" apt-get update -qq &&
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
      apt-get install -qq -y --no-install-recommends "${packages[@]}"
} >/dev/null || give_up "apt-get failed, and missing"
[ -z "$(missing)" ] || give_up "installed, but still missing"
