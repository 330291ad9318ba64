#!/bin/bash
# Install what the browser test needs: Chromium, npm, and OHIF's build in the folder that is named.
# Without it the test skips, loudly; where CI=true that is a failure, so that no run passes by skipping.
set -euo pipefail
folder=$1
version=3.13.2

packages=()
command -v chromium >/dev/null || packages+=(chromium)
command -v npm >/dev/null || packages+=(npm)

give_up() {
  echo "*** $1" >&2
  if [ "${CI:-}" = true ]; then exit 1; fi
  echo "*** The browser test will be SKIPPED." >&2
  exit 0
}

if [ ${#packages[@]} != 0 ]; then
  command -v apt-get >/dev/null || give_up "not a Debian or Ubuntu machine, and missing: ${packages[*]}"
  as_root=()
  if [ "$(id -u)" != 0 ]; then
    sudo -n true 2>/dev/null || give_up "not root, and missing: ${packages[*]}"
    as_root=(sudo -n)
  fi
  echo "installing ${packages[*]}"
  {
    "${as_root[@]}" apt-get update -qq &&
      "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -qq -y --no-install-recommends "${packages[@]}"
  } >/dev/null || give_up "apt-get failed"
fi

[ -e "$folder/package/dist/index.html" ] && exit 0
mkdir -p "$folder"
cd "$folder"
npm pack --silent "@ohif/app@$version" >/dev/null || give_up "npm has no @ohif/app@$version"
tar xzf "ohif-app-$version.tgz" package/dist
rm "ohif-app-$version.tgz"
