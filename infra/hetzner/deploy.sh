#!/bin/sh
# infra/hetzner/deploy.sh root@ADDRESS: brings this tree to the control server, builds the images there, starts or upgrades the
# platform, and prints what to do next. May be repeated. docs/deploy-hetzner.md tells the whole way.
set -eu
cd "$(dirname "$0")/../.."
if [ $# -ne 1 ]; then
  echo "usage: infra/hetzner/deploy.sh root@ADDRESS" >&2
  exit 2
fi
host=$1

say() { printf 'deploy: %s\n' "$1"; }

say "waiting for the first boot of $host"
# 2: done, with something recoverable that cloud-init complained of.
ssh "$host" 'cloud-init status --wait > /dev/null; code=$?; [ $code -eq 0 ] || [ $code -eq 2 ]; test -e /etc/rgrid/ready'

say "copying the tree"
rsync -a --delete --exclude .git --exclude .rgrid --exclude node_modules --exclude coverage ./ "$host:/opt/rgrid/"

say "looking after the settings"
ssh "$host" /opt/rgrid/infra/hetzner/check-settings.sh

say "building the images there"
ssh "$host" 'cd /opt/rgrid && npm run --silent setup && node_modules/.bin/node infra/docker/build.ts'

say "looking after the image that nodes load"
ssh "$host" /opt/rgrid/infra/hetzner/node-runner-archive.sh

# The token of Hetzner goes over standard input: it stands in no argument, no history and no state of Terraform's.
if ! ssh "$host" 'test -s /etc/rgrid/hcloud-token'; then
  say "the scheduler needs a token of the Hetzner project (read & write) to buy machines. Give it with:"
  say "  ssh $host 'umask 077; cat > /etc/rgrid/hcloud-token; chown 10001 /etc/rgrid/hcloud-token' < token-file"
  exit 1
fi

say "looking after the certificate of NATS"
made=$(ssh "$host" '/opt/rgrid/infra/hetzner/nats-certificate.sh')

say "starting"
ssh "$host" 'cd /opt/rgrid && docker compose --env-file /etc/rgrid/rgrid.env up -d --wait --remove-orphans'
# NATS takes a certificate that was made anew without a restart; who is connected is back within a second.
if [ -n "$made" ]; then
  say "$made"
  ssh "$host" 'cd /opt/rgrid && docker compose --env-file /etc/rgrid/rgrid.env kill -s HUP nats'
fi
say "the API key of project default: ssh $host 'cd /opt/rgrid && docker compose --env-file /etc/rgrid/rgrid.env run --rm --no-deps -T setup cat /operator/api-key'"
