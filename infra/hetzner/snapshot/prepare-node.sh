#!/bin/sh
# Makes a fresh Debian into what nodes boot from; run by Packer (node.pkr.hcl). IMAGES: to be pulled; GVISOR: yes or no.
set -eu
export DEBIAN_FRONTEND=noninteractive

apt-get update -q
# As scheduler/cloud/boot-files.ts, which installs nothing where there is an engine: the command of newer releases is a package of its own.
cli=$(apt-cache show docker-cli > /dev/null 2>&1 && echo docker-cli || true)
apt-get install -qy --no-install-recommends docker.io $cli iptables e2fsprogs curl ca-certificates
if [ "$GVISOR" = yes ]; then
  apt-get install -qy --no-install-recommends runsc
  mkdir -p /etc/docker
  echo '{"runtimes": {"runsc": {"path": "/usr/bin/runsc"}}}' > /etc/docker/daemon.json
  systemctl restart docker
fi

gunzip -c /root/node-runner.tar.gz | docker load
rm /root/node-runner.tar.gz
for image in $IMAGES; do docker pull -q "$image"; done

# A node lives for hours: nothing is upgraded under a job.
systemctl disable --now apt-daily.timer apt-daily-upgrade.timer
apt-get purge -qy unattended-upgrades || true

# Each node is a machine of its own: keys, ids and what cloud-init remembers are made anew at its first boot.
apt-get clean
rm -rf /var/lib/apt/lists/*
rm -f /etc/ssh/ssh_host_*
systemctl stop docker
cloud-init clean --logs --machine-id
fstrim -a
sync
