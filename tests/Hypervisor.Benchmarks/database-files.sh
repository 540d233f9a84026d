#!/bin/sh
# A guest's disk with SQLite of Debian's packages: database-files.sh CACHE makes CACHE/database. Installs nothing.
#   disk.img    ext4, with SQLite and what it needs      sqlite    the same program for the host
set -eu
[ $# = 1 ] || { echo "usage: $0 CACHE" >&2; exit 2; }
mkdir -p "$1"
cache=$(cd "$1" && pwd)
out=$cache/database
disk_mib=96
say() { echo "database: $*" >&2; }
die() { say "$*"; exit 1; }
[ ! -f "$out/complete" ] || exit 0

. "$(dirname "$0")/packages.sh"
say "fetching SQLite (once)"
rm -rf "$out.new"
mkdir -p "$out.new"
unpack sqlite3 "$out.new/tree" -o Dir::State::status=/dev/null # as on a system that has nothing
rm -rf "$out.new/tree/usr/share"
mkdir -p "$out.new/tree/tmp"
mke2fs=$(PATH=$PATH:/usr/sbin:/sbin command -v mke2fs) || die "mke2fs is missing (package e2fsprogs)"
truncate -s "${disk_mib}M" "$out.new/disk.img"
"$mke2fs" -q -F -t ext4 -d "$out.new/tree" "$out.new/disk.img"
cat >"$out.new/sqlite" <<'END'
#!/bin/sh
tree=$(dirname "$(readlink -f "$0")")/tree
exec "$tree/lib64/ld-linux-x86-64.so.2" \
    --library-path "$tree/lib/x86_64-linux-gnu:$tree/usr/lib/x86_64-linux-gnu" "$tree/usr/bin/sqlite3" "$@"
END
chmod +x "$out.new/sqlite"
rm -rf "$out"
mv "$out.new" "$out"
"$out/sqlite" --version >/dev/null || die "SQLite does not start"
touch "$out/complete"
