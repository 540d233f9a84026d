#!/bin/sh
# Makes a raw MBR disk that boots the Linux guest through GRUB (i386-pc). Installs nothing.
# usage: grub-disk.sh CACHE OUT [KERNEL-ARGUMENTS]    CACHE: as of linux/build.sh, which must have run
#   sector 0         boot.img with the partition table
#   sector 1-2047    core.img
#   sector 2048-     ext4 with kernel, initrd and grub.cfg
set -eu

[ $# -ge 2 ] || { echo "usage: $0 CACHE OUT [KERNEL-ARGUMENTS]" >&2; exit 2; }
cache=$(cd "$1" && pwd)
out=$2
arguments=${3:-"console=ttyS0 hvdisk=/dev/vda1"}
linux=$cache/linux
partition_mib=63
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

die() { echo "grub disk: $*" >&2; exit 1; }

[ -f "$linux/vmlinuz" ] || die "no $linux/vmlinuz: run linux/build.sh first"
if [ -f "$cache/apt.conf" ]; then
    export APT_CONFIG="$cache/apt.conf" # the package lists that linux/build.sh fetched
fi

for package in grub-pc-bin grub-common; do
    ls "$cache/${package}"_*.deb >/dev/null 2>&1 ||
        (cd "$cache" && apt-get download "$package" >/dev/null) || die "apt-get download $package failed"
    dpkg-deb -x "$(ls "$cache/${package}"_*.deb | tail -n 1)" "$work/packages"
done

modules=$work/packages/usr/lib/grub/i386-pc
cat >"$work/early.cfg" <<CFG
serial --unit=0 --speed=115200
terminal_output serial
terminal_input serial
set root=(hd0,msdos1)
configfile /grub.cfg
CFG
"$work/packages/usr/bin/grub-mkimage" -O i386-pc -d "$modules" -p "(hd0,msdos1)/" -c "$work/early.cfg" \
    -o "$work/core.img" biosdisk part_msdos ext2 linux serial terminal configfile normal echo
[ "$(stat -c %s "$work/core.img")" -le $((2047 * 512)) ] || die "core.img is too big for the gap"

mkdir "$work/root"
cp "$linux/vmlinuz" "$linux/initrd.gz" "$work/root"
cat >"$work/root/grub.cfg" <<CFG
echo "GRUB: loading Linux"
linux /vmlinuz $arguments
initrd /initrd.gz
boot
CFG

mke2fs=$(PATH=$PATH:/usr/sbin:/sbin command -v mke2fs) || die "mke2fs is missing (package e2fsprogs)"
truncate -s "${partition_mib}M" "$work/partition.img"
# GRUB's ext2 module does not know every feature of a new ext4.
"$mke2fs" -q -F -t ext4 -O ^metadata_csum,^64bit -d "$work/root" "$work/partition.img"

truncate -s $(((partition_mib + 1) * 1048576)) "$work/disk.img"
dd if="$modules/boot.img" of="$work/disk.img" bs=1 count=440 conv=notrunc 2>/dev/null
# Partition 1: active, type 83h, from sector 2048; then the boot signature.
sectors=$((partition_mib * 2048))
printf "$(printf '\\%03o' 128 254 255 255 131 254 255 255 0 8 0 0 \
    $((sectors & 255)) $((sectors >> 8 & 255)) $((sectors >> 16 & 255)) $((sectors >> 24)))" |
    dd of="$work/disk.img" bs=1 seek=446 conv=notrunc 2>/dev/null
printf '\125\252' | dd of="$work/disk.img" bs=1 seek=510 conv=notrunc 2>/dev/null
dd if="$work/core.img" of="$work/disk.img" bs=512 seek=1 conv=notrunc 2>/dev/null
dd if="$work/partition.img" of="$work/disk.img" bs=1M seek=1 conv=notrunc,sparse 2>/dev/null
mv "$work/disk.img" "$out"
