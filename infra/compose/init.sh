#!/bin/sh
# Makes the installation's secrets once, in the volume /vault, and hands each service, in a volume of its own, only
# those it needs. What is there already stays: it runs at each `up`. To bring your own, put them into /vault first.
set -eu
umask 077
service_user=10001

node bus/trust.ts --dir /vault/nats

secret() {
  [ -s "/vault/$1" ] && return
  head -c "$2" /dev/urandom | od -An -tx1 | tr -d ' \n' > "/vault/$1.part"
  mv "/vault/$1.part" "/vault/$1"
}
secret postgres-password 24
secret gateway-db-password 24
secret scheduler-db-password 24
secret s3-access-key 10
secret s3-secret-key 24

[ -s /vault/secret-keys ] || printf 'compose:%s' "$(head -c 32 /dev/urandom | base64)" > /vault/secret-keys

database_url() {
  printf 'postgres://%s:%s@postgres:5432/rgrid' "$1" "$(cat "/vault/$2")" > "/vault/$3"
}
database_url postgres postgres-password postgres-admin-url
database_url rgrid_gateway gateway-db-password gateway-database-url
database_url rgrid_scheduler scheduler-db-password scheduler-database-url

# hand <service> <owner> <file>...
hand() {
  folder=/for/$1
  owner=$2
  shift 2
  for file in "$@"; do cp "/vault/$file" "$folder/"; done
  chown -R "$owner" "$folder"
}
hand postgres 0:0 postgres-password
hand nats 0:0 nats/resolver.conf
hand s3 0:0 s3-access-key s3-secret-key
hand gateway $service_user:$service_user gateway-database-url secret-keys s3-access-key s3-secret-key \
  nats/gateway.creds nats/account.pub nats/signing.seed
hand scheduler $service_user:$service_user scheduler-database-url secret-keys s3-access-key s3-secret-key nats/scheduler.creds
echo "init: secrets are in place"
