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
# radosgw-admin sometimes hangs at its end after it has failed (a sixth of the times), hence the limit.
if [ ! -e /data/user-made ]; then
  answer=$(CEPH_ARGS="--access-key=$access_key --secret-key=$secret_key" timeout -k 1 10 $as_ceph radosgw-admin $store \
    --rgw-config-store=dbstore --dbstore-config-uri=file:/data/config.db user create --uid=rgrid --display-name=RGrid 2>&1) && made=0 || made=$?
  case "$made $answer" in
    0\ * | *"user: rgrid exists"*) touch /data/user-made ;;
    *) echo "serve: the S3 user could not be made: $(echo "$answer" | grep -v secret_key | tail -3)" >&2 && exit 1 ;;
  esac
fi

exec $as_ceph radosgw -f $store --rgw-data=/data/rgw --rgw-frontends="beast endpoint=0.0.0.0:9000" --id rgrid --debug-rgw=0
