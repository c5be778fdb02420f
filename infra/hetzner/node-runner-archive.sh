#!/bin/sh
# infra/hetzner/node-runner-archive.sh [DIR [FILE]]: saves the node-runner's image that was built on this machine, NODE_RUNNER_IMAGE of
# DIR/rgrid.env (/etc/rgrid), as FILE, from where Caddy hands it to nodes that lack it. Nothing is done when FILE holds it already, or
# when the image names a registry: nodes pull it from there. May be repeated.
set -eu
umask 022
dir=${1:-/etc/rgrid}
file=${2:-/var/lib/rgrid/boot/node-runner.tar.gz}

say() { printf 'node-runner-archive: %s\n' "$1"; }
setting() { sed -n "s/^$1=//p" "$dir/rgrid.env"; }

image=$(setting NODE_RUNNER_IMAGE)
case $image in
  '')
    say "NODE_RUNNER_IMAGE is not set in $dir/rgrid.env" >&2
    exit 1
    ;;
  */*) registry=${image%%/*} ;;
  *) registry= ;;
esac
# What Docker takes for a host, as core/image-name.ts.
case $registry in *.* | *:* | *[A-Z]* | localhost) exit 0 ;; esac

if ! made=$(docker image inspect --format '{{.Id}} {{.Architecture}}' "$image" 2>&1); then
  say "NODE_RUNNER_IMAGE=$image names no registry and was not built here: $made" >&2
  exit 1
fi
arch=$(setting IMAGE_ARCH)
boots=$(setting HCLOUD_IMAGE)
if [ "$arch" = arm64 ]; then
  arm=$(setting HCLOUD_IMAGE_ARM)
  boots=${arm:-$boots}
fi
case $boots in
  *[!0-9]*)
    if [ "${made#* }" != "${arch:-amd64}" ]; then
      say "IMAGE_ARCH=${arch:-amd64}, but $image was built on ${made#* }: name an image in a registry (NODE_RUNNER_IMAGE) or a snapshot that holds it" >&2
      exit 1
    fi
    ;;
esac

[ "$(cat "$file.id" 2> /dev/null)" != "${made% *}" ] || [ ! -s "$file" ] || exit 0
mkdir -p "$(dirname "$file")"
trap 'rm -f "$file.tar" "$file.part"' EXIT
docker save --output "$file.tar" "$image"
gzip -c "$file.tar" > "$file.part"
mv "$file.part" "$file"
echo "${made% *}" > "$file.id"
say "saved $image for nodes"
