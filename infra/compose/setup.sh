#!/bin/sh
# Database roles, migrations and bucket; project `default` with its API key; a one-time token for the node-runner.
set -eu
node store/admin.ts prepare
node store/admin.ts bootstrap --project default --key-file /operator/api-key
node store/admin.ts enrolment-token --token-file /for/node/enrol-token
echo "setup: ready; the API key is in the volume 'operator', file api-key"
