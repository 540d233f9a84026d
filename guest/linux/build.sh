#!/bin/sh
# Makes the Linux guest in a cache folder: vmlinuz, initrd.gz, disk.img. Installs nothing.
# usage: build.sh CACHE GUEST    CACHE: folder for packages and results; GUEST: the built Hypervisor.Guest(.dll)
# Packages that are in CACHE already are used as they are.
set -eu

[ $# = 2 ] || { echo "usage: $0 CACHE GUEST" >&2; exit 2; }
cache=$1
guest=$2
out=$cache/linux
disk_mib=64

say() { echo "linux guest: $*" >&2; }
die() { say "$*"; exit 1; }

have() { ls "$cache"/$1_*.deb 2>/dev/null | tail -n 1; }

# The metapackage only names the current kernel.
kernel_package() {
    apt-cache depends --important linux-image-cloud-amd64 2>/dev/null |
        sed -n 's/.*Depends: \(linux-image-[0-9].*\)/\1/p' | head -n 1
}

# Fresh systems have no package lists: fetch them into the cache, which needs no root and changes no system.
need_lists() {
    apt-cache show busybox-static >/dev/null 2>&1 && return
    mkdir -p "$cache/apt/lists/partial" "$cache/apt/archives/partial"
    printf 'Dir::State::lists "%s";\nDir::Cache "%s";\n' "$cache/apt/lists" "$cache/apt" >"$cache/apt.conf"
    export APT_CONFIG="$cache/apt.conf"
    say "fetching Debian's package lists"
    apt-get -qq -o APT::Sandbox::User=root update >"$cache/apt.log" 2>&1 || true # the download says what is wrong
}

fetch() {
    say "downloading $1"
    (cd "$cache" && apt-get download "$1" >/dev/null) || die "apt-get download $1 failed (try apt-get update)"
}

mkdir -p "$cache"
cache=$(cd "$cache" && pwd)
out=$cache/linux
if [ -f "$out/complete" ] && [ "$out/complete" -nt "$guest" ]; then
    exit 0
fi

if [ -z "$(have 'linux-image-*-cloud-amd64')" ] || [ -z "$(have busybox-static)" ]; then
    need_lists
fi

if [ -z "$(have 'linux-image-*-cloud-amd64')" ]; then
    package=$(kernel_package)
    [ -n "$package" ] || die "apt knows no linux-image-cloud-amd64 (try apt-get update)"
    fetch "$package"
fi
[ -n "$(have busybox-static)" ] || fetch busybox-static

rm -rf "$out.new"
mkdir -p "$out.new/root"
dpkg-deb -x "$(have 'linux-image-*-cloud-amd64')" "$out.new/root"
dpkg-deb -x "$(have busybox-static)" "$out.new/root"
find "$out.new/root" -name '*.ko.xz' -exec xz -d {} + # newer kernel packages compress their modules

cp "$out.new"/root/boot/vmlinuz-* "$out.new/vmlinuz"
cp "$out.new"/root/bin/busybox "$out.new/busybox" 2>/dev/null || cp "$out.new"/root/usr/bin/busybox "$out.new/busybox"
case $guest in
    *.dll) dotnet "$guest" initramfs "$out.new/root" "$out.new/initrd.gz" ;;
    *) "$guest" initramfs "$out.new/root" "$out.new/initrd.gz" ;;
esac

mke2fs=$(PATH=$PATH:/usr/sbin:/sbin command -v mke2fs) || die "mke2fs is missing (package e2fsprogs)"
if [ -f "$out/disk.img" ]; then
    mv "$out/disk.img" "$out.new/disk.img" # what the user's guest wrote stays
else
    truncate -s "${disk_mib}M" "$out.new/disk.img"
    "$mke2fs" -q -F -t ext4 -L hvroot "$out.new/disk.img"
fi

rm -rf "$out.new/root" "$out"
mv "$out.new" "$out"
touch "$out/complete"
say "ready in $out"
