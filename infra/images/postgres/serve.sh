#!/bin/sh
# Makes the cluster once, from POSTGRES_USER, POSTGRES_DB and POSTGRES_PASSWORD_FILE, then runs the server as `postgres`.
set -eu

user=${POSTGRES_USER:-postgres}
database=${POSTGRES_DB:-$user}
as_postgres="setpriv --reuid=postgres --regid=postgres --init-groups --"

mkdir -p "$PGDATA" /run/postgresql
chown postgres:postgres "$PGDATA" /run/postgresql
chmod 700 "$PGDATA"

# Made aside and moved into place with PG_VERSION last: a first start that was killed begins again, and a cluster that
# is there, whoever made it, is never touched.
if [ ! -e "$PGDATA/PG_VERSION" ]; then
  new=$PGDATA/.initialising
  if [ -e "$new" ]; then find "$PGDATA" -mindepth 1 -delete; fi
  $as_postgres mkdir -m 700 "$new"
  install -m 600 -o postgres "$POSTGRES_PASSWORD_FILE" /run/postgresql/password
  $as_postgres initdb --pgdata="$new" --username="$user" --pwfile=/run/postgresql/password --encoding=UTF8 --locale=C.UTF-8 \
    --auth-local=trust --auth-host=scram-sha-256 --no-sync --no-instructions > /dev/null
  rm /run/postgresql/password
  echo 'host all all all scram-sha-256' >> "$new/pg_hba.conf"
  if [ "$database" != postgres ]; then
    echo "CREATE DATABASE \"$database\"" | $as_postgres postgres --single -D "$new" postgres > /dev/null
  fi
  find "$new" -mindepth 1 -maxdepth 1 ! -name PG_VERSION -exec mv -t "$PGDATA" {} +
  sync
  mv "$new/PG_VERSION" "$PGDATA/PG_VERSION"
  rmdir "$new"
fi

exec $as_postgres "$@" -c listen_addresses='*'
