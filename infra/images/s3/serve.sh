#!/bin/sh
# Serves S3 on port 9000 out of /data to one user, whose keys are in the files S3_ACCESS_KEY_FILE and
# S3_SECRET_KEY_FILE. The same script runs SeaweedFS (the official image) and radosgw (the stand-in).
set -eu

access_key=$(cat "$S3_ACCESS_KEY_FILE")
secret_key=$(cat "$S3_SECRET_KEY_FILE")

if command -v weed > /dev/null; then
  umask 077
  cat > /tmp/s3.json <<END
{"identities": [{"name": "rgrid", "actions": ["Admin", "Read", "Write", "List", "Tagging"],
  "credentials": [{"accessKey": "$access_key", "secretKey": "$secret_key"}]}]}
END
  exec weed server -dir=/data -ip=127.0.0.1 -ip.bind=0.0.0.0 -volume.max=0 -master.volumeSizeLimitMB=1024 \
    -s3 -s3.port=9000 -s3.config=/tmp/s3.json
fi

# radosgw runs as Debian's user `ceph`; `ceph.conf` only has to be there.
mkdir -p /data/rgw /etc/ceph /run/ceph
: > /etc/ceph/ceph.conf
chown -R ceph:ceph /data /run/ceph
as_ceph="setpriv --reuid=ceph --regid=ceph --init-groups --"
store="--no-mon-config --rgw-backend-store=dbstore --dbstore-db-dir=/data --log-to-stderr=true --log-file="

# The user is made once and never written again: this store replaces the whole row when a user changes, and its buckets
# go with the old one. The keys travel in CEPH_ARGS, as arguments are visible to every process of the machine.
# radosgw-admin sometimes hangs at its end, done or not (up to a sixth of the times), so its answer counts, not its end.
if [ ! -e /data/user-made ]; then
  answer=$(mktemp)
  CEPH_ARGS="--access-key=$access_key --secret-key=$secret_key" $as_ceph radosgw-admin $store --rgw-config-store=dbstore \
    --dbstore-config-uri=file:/data/config.db user create --uid=rgrid --display-name=RGrid > "$answer" 2>&1 &
  admin=$!
  for _ in $(seq 300); do
    if grep -q -e '"user_id": "rgrid"' -e 'user: rgrid exists' "$answer"; then
      touch /data/user-made
      break
    fi
    kill -0 $admin 2> /dev/null || break
    sleep 0.1
  done
  kill -9 $admin 2> /dev/null || true
  if [ ! -e /data/user-made ]; then
    echo "serve: the S3 user could not be made:" >&2
    grep -v secret_key "$answer" | tail -5 >&2
    exit 1
  fi
  rm "$answer"
fi

exec $as_ceph radosgw -f $store --rgw-data=/data/rgw --rgw-frontends="beast endpoint=0.0.0.0:9000" --id rgrid --debug-rgw=0
