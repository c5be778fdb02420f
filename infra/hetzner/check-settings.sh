#!/bin/sh
# infra/hetzner/check-settings.sh [DIR]: ends with an error that names each setting of DIR/rgrid.env (/etc/rgrid) that no compose file reads,
# so that a misspelt one is not passed over in silence.
set -eu
dir=${1:-/etc/rgrid}
cd "$(dirname "$0")/../.."
ours='infra/hetzner/compose.hetzner.yaml infra/hetzner/compose.external-s3.yaml'
faults=0

fault() {
  printf 'check-settings: %s\n' "$1" >&2
  faults=1
}

for name in $(sed -n 's/^\([A-Za-z_][A-Za-z0-9_]*\)=.*/\1/p' "$dir/rgrid.env"); do
  short=${name#RGRID_}
  # shellcheck disable=SC2086 # two files
  if grep -q "\${$name[}:-]" $ours; then continue; fi
  # shellcheck disable=SC2086
  if [ "$short" != "$name" ] && grep -q "^ *$name: .*\${$short[}:-]" $ours; then
    fault "$name of $dir/rgrid.env is not read: it is called $short here"
  elif ! grep -q "\${$name[}:-]" compose.yaml; then
    case $name in COMPOSE_*) ;; *) fault "$name of $dir/rgrid.env is not read by anything" ;; esac
  fi
done
exit $faults
