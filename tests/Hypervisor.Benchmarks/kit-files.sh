#!/bin/sh
# Makes what `bench kit` needs in a cache folder. Installs nothing; packages come by apt-get download.
# usage: kit-files.sh CACHE KIT    KIT: folder of the guest benchmark kit
#   CACHE/kit/          what KIT/build.sh makes: vmlinuz, initrd.gz, disk.img, rootfs, kbench
#   CACHE/kit-tools/    qemu-system-x86_64: the host's, or one from Debian's packages; cpio for the build
set -eu

[ $# = 2 ] || { echo "usage: $0 CACHE KIT" >&2; exit 2; }
mkdir -p "$1/kit-tools"
cache=$(cd "$1" && pwd)
kit=$2
tools=$cache/kit-tools

say() { echo "benchmark kit: $*" >&2; }
die() { say "$*"; exit 1; }

for tool in apt-get dpkg-deb gcc python3 openssl unshare setpriv; do
    command -v "$tool" >/dev/null || die "$tool is missing"
done
[ "$(id -u)" = 0 ] || die "needs root: the figures of the bare host are taken in a chroot"

. "$(dirname "$0")/packages.sh"
need_qemu

if [ -f "$cache/kit/complete" ] && \
    [ -z "$(find "$kit/build.sh" "$kit/src" "$kit/guest" -newer "$cache/kit/complete")" ]; then
    exit 0
fi

need_lists
if ! command -v cpio >/dev/null; then
    [ -d "$tools/cpio" ] || unpack cpio "$tools/cpio"
    PATH=$PATH:$tools/cpio/bin
fi
say "building (once, 2 minutes)"
rm -f "$cache/kit/complete"
PATH=$PATH:/usr/sbin:/sbin bash "$kit/build.sh" "$cache/kit" >"$cache/kit-build.log" 2>&1 ||
    die "the build failed: $(tail -n 1 "$cache/kit-build.log") (all of it is in $cache/kit-build.log)"
touch "$cache/kit/complete"
