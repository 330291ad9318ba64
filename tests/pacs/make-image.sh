#!/bin/bash
# Build an image of Orthanc and DCMTK from Debian's packages, without any image registry.
#
#   make-image.sh [quick|full] [TAG]     TAG is harmony-pacs:local by default
#
# quick: what is installed here, with the libraries it loads; about 100 MB, some seconds
# full:  a Debian system of its own by mmdebstrap; about 250 MB, half a minute
set -euo pipefail

mode=${1:-quick}
tag=${2:-harmony-pacs:local}
suite=${SUITE:-bookworm}

for engine in docker podman ""; do
  [ -n "$engine" ] || { echo "no container engine answers: see start-engine.sh" >&2; exit 1; }
  if command -v "$engine" >/dev/null && "$engine" info >/dev/null 2>&1; then break; fi
done

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

full() {
  mmdebstrap --quiet --variant=minbase \
    --include=orthanc,orthanc-dicomweb,dcmtk,iproute2 \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' "$suite" "$work/root.tar"
}

quick() {
  local root=$work/root name
  local programs=(/usr/sbin/Orthanc
    /usr/bin/{dcmqrscp,dcmqridx,storescp,storescu,findscu,movescu,getscu,echoscu,dcmdump}
    /usr/bin/{dash,bash,sleep,cat,ls,head})
  local libraries=(/usr/share/orthanc/plugins/*.so /usr/lib/*/libnss_{files,dns}.so.2)
  local data=(/usr/share/orthanc /usr/share/libdcmtk* /etc/dcmtk /usr/lib/locale/C.utf8
    /usr/share/zoneinfo/UTC /etc/ssl/certs/ca-certificates.crt)

  mkdir -p "$root"/{etc,tmp,data,cfg,var,run,proc,sys,dev,root,usr/{bin,sbin,lib,lib64,share}}
  chmod 1777 "$root/tmp"
  for name in bin sbin lib lib64; do ln -s "usr/$name" "$root/$name"; done
  echo 'root:x:0:0:root:/root:/bin/sh' >"$root/etc/passwd"
  echo 'root:x:0:' >"$root/etc/group"
  echo 'hosts: files dns' >"$root/etc/nsswitch.conf"
  {
    printf '%s\n' "${programs[@]}" "${libraries[@]}"
    ls -d "${data[@]}" 2>/dev/null || true
    ldd "${programs[@]}" "${libraries[@]}" 2>/dev/null | grep -o '/[^ ]*\.so[^ ]*'
  } | sed 's#^/lib#/usr/lib#; s#^/##' | sort -u |
    while read -r name; do [ ! -e "/$name" ] || echo "$name"; done >"$work/list"
  tar -C / -chf - --files-from="$work/list" | tar -x -C "$root" # -h: files instead of links
  ln -sf dash "$root/usr/bin/sh"
  ln -sf ../usr/share/zoneinfo/UTC "$root/etc/localtime" # Orthanc does not start without
  tar -C "$root" --numeric-owner -cf "$work/root.tar" .
}

case $mode in
  quick | full) "$mode" ;;
  *) echo "usage: make-image.sh [quick|full] [TAG]" >&2; exit 2 ;;
esac
"$engine" import "$work/root.tar" "$tag" >/dev/null
"$engine" run --rm --network=none "$tag" Orthanc --version | sed -n 1p
echo "$tag is ready ($mode, $engine)"
