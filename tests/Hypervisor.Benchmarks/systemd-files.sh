#!/bin/sh
# Makes what `bench systemd` needs in a cache folder. Installs nothing; debootstrap fetches Debian's packages (70 MiB).
# usage: systemd-files.sh CACHE    CACHE: has the kernel's package, as guest/linux/build.sh leaves it there
#   CACHE/systemd/      disk.img: a raw ext4 root file system (1 GiB, sparse); vmlinuz, initrd.img: its kernel
#                       packages: what is installed, by name and version
#   CACHE/kit-tools/    qemu-system-x86_64: the host's, or one from Debian's packages; debootstrap likewise
set -eu

[ $# = 1 ] || { echo "usage: $0 CACHE" >&2; exit 2; }
mkdir -p "$1/kit-tools"
cache=$(cd "$1" && pwd)
tools=$cache/kit-tools
out=$cache/systemd
log=$cache/systemd-build.log
here=$(cd "$(dirname "$0")" && pwd)
PATH=$PATH:/usr/sbin:/sbin
export LC_ALL=C

suite=bookworm
# On top of the required packages and apt: init, what its units call, and what the kernel's package depends on.
include=systemd-sysv,udev,dbus,kmod,linux-base,initramfs-tools,zstd

say() { echo "systemd guest: $*" >&2; }
die() { say "$*"; exit 1; }

for tool in apt-get dpkg-deb setpriv; do
    command -v "$tool" >/dev/null || die "$tool is missing"
done
. "$here/packages.sh"
need_qemu

kernel=$(ls "$cache"/linux-image-*-cloud-amd64_*.deb 2>/dev/null | tail -n 1)
[ -n "$kernel" ] || die "no linux-image-*-cloud-amd64 package in $cache; ./run.sh linux fetches it"
if [ -f "$out/complete" ] && [ "$out/complete" -nt "$here/systemd-files.sh" ] && [ "$out/complete" -nt "$kernel" ]; then
    exit 0
fi

[ "$(id -u)" = 0 ] || die "$out has to be made by root once (debootstrap works in a chroot): run this as root"
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
[ -f "$keyring" ] || die "$keyring is missing (package debian-archive-keyring)"
for tool in wget gpgv unshare mke2fs; do
    command -v "$tool" >/dev/null || die "$tool is missing"
done
if ! command -v debootstrap >/dev/null; then
    [ -d "$tools/debootstrap" ] || unpack debootstrap "$tools/debootstrap"
    PATH=$PATH:$tools/debootstrap/usr/sbin
    export DEBOOTSTRAP_DIR="$tools/debootstrap/usr/share/debootstrap"
fi

# Mounts of its own: what is mounted in the chroot is gone with the process, however it ends. FSTYPE: there is no disk
# yet on which update-initramfs could find out which fsck it needs.
install_debian() {
    unshare --mount debootstrap --arch=amd64 --variant=minbase --keyring="$keyring" \
        --include="$include" "$suite" "$root" &&
    echo debian >"$root/etc/hostname" &&
    printf '127.0.0.1 localhost\n127.0.1.1 debian\n' >"$root/etc/hosts" &&
    echo '/dev/vda / ext4 errors=remount-ro 0 1' >"$root/etc/fstab" &&
    echo FSTYPE=ext4 >"$root/etc/initramfs-tools/conf.d/root" &&
    cp "$kernel" "$root/tmp/kernel.deb" &&
    unshare --mount sh -ec '
        mount -t proc proc "$1/proc"
        chroot "$1" dpkg --install /tmp/kernel.deb
        chroot "$1" passwd --delete root' sh "$root" &&
    rm -rf "$root/tmp/kernel.deb" "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/*
}

# With fixed numbers, and nothing left for the guest to initialize in the background.
make_disk() {
    truncate -s 1G "$1" &&
    mke2fs -q -F -t ext4 -U 73797374-656d-4064-8000-000000000001 \
        -E hash_seed=73797374-656d-4064-8000-000000000002,lazy_itable_init=0,lazy_journal_init=0 -d "$root" "$1"
}

say "installing Debian into an image (once, a minute)"
root=$out.new/root
rm -rf "$out" "$out.new"
mkdir -p "$root"
install_debian >"$log" 2>&1 || die "the installation failed: $(tail -n 1 "$log") (all of it is in $log)"
make_disk "$out.new/disk.img" >>"$log" 2>&1 || die "mke2fs failed: $(tail -n 1 "$log")"
cp "$root"/boot/vmlinuz-* "$out.new/vmlinuz"
cp "$root"/boot/initrd.img-* "$out.new/initrd.img"
dpkg-query --admindir="$root/var/lib/dpkg" --show >"$out.new/packages"
rm -rf "$root"
mv "$out.new" "$out"
touch "$out/complete"
