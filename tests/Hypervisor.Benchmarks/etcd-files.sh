#!/bin/sh
# etcd from Debian's packages, without an installation: etcd-files.sh CACHE makes CACHE/etcd.
set -eu
cache=$1
say() { echo "run.sh: $*" >&2; }
die() {
    say "$*"
    exit 1
}
. "$(dirname "$0")/packages.sh"
mkdir -p "$cache"
unpack etcd-server "$cache/etcd"
