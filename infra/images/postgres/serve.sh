#!/bin/sh
# Makes the cluster once, from POSTGRES_USER, POSTGRES_DB and POSTGRES_PASSWORD_FILE, then runs the server as `postgres`.
set -eu

user=${POSTGRES_USER:-postgres}
database=${POSTGRES_DB:-$user}
as_postgres="setpriv --reuid=postgres --regid=postgres --init-groups --"

mkdir -p "$PGDATA" /run/postgresql
chown postgres:postgres "$PGDATA" /run/postgresql
chmod 700 "$PGDATA"

# The marker comes last: a first start that was killed begins again on an empty folder.
if [ ! -e "$PGDATA/rgrid-initialised" ] && [ ! -e "$PGDATA/postmaster.pid" ]; then
  find "$PGDATA" -mindepth 1 -delete
  umask 077
  cp "$POSTGRES_PASSWORD_FILE" /run/postgresql/password
  chown postgres /run/postgresql/password
  $as_postgres initdb --username="$user" --pwfile=/run/postgresql/password --auth-local=trust --auth-host=scram-sha-256 \
    --encoding=UTF8 --locale=C.UTF-8 --no-sync --no-instructions > /dev/null
  rm /run/postgresql/password
  echo 'host all all all scram-sha-256' >> "$PGDATA/pg_hba.conf"
  if [ "$database" != postgres ]; then
    echo "CREATE DATABASE \"$database\"" | $as_postgres postgres --single -D "$PGDATA" postgres > /dev/null
  fi
  sync
  $as_postgres touch "$PGDATA/rgrid-initialised"
  umask 022
fi

exec $as_postgres "$@" -c listen_addresses='*'
