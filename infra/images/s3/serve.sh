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

# The keys travel in CEPH_ARGS, as arguments are visible to every process of the machine. A user that is there
# already gets them as a key of its own: both commands may be repeated.
admin() {
  CEPH_ARGS="--access-key=$access_key --secret-key=$secret_key" $as_ceph \
    radosgw-admin $store --rgw-config-store=dbstore --dbstore-config-uri=file:/data/config.db "$@" > /dev/null 2>&1
}
admin user create --uid=rgrid --display-name=RGrid || admin key create --uid=rgrid || echo "serve: the S3 user could not be made" >&2

exec $as_ceph radosgw -f $store --rgw-data=/data/rgw --rgw-frontends="beast endpoint=0.0.0.0:9000" --id rgrid --debug-rgw=0
