# Debian packages without an installation, for the scripts beside this one, which source it and define
#   cache    folder for package lists and logs      tools    folder for what is unpacked      say, die

# Fresh systems have no package lists: fetch them into the cache, which changes no system.
need_lists() {
    apt-cache show cpio >/dev/null 2>&1 && return
    mkdir -p "$cache/apt/lists/partial" "$cache/apt/archives/partial"
    printf 'Dir::State::lists "%s";\nDir::Cache "%s";\n' "$cache/apt/lists" "$cache/apt" >"$cache/apt.conf"
    export APT_CONFIG="$cache/apt.conf"
    say "fetching Debian's package lists"
    apt-get -qq -o APT::Sandbox::User=root update >"$cache/apt.log" 2>&1 || true # the download says what is wrong
}

# Unpacks a package and whatever it needs that this system does not have into a new folder: unpack NAME FOLDER [OPTIONS].
unpack() {
    need_lists
    name=$1 folder=$2
    shift 2
    rm -rf "$folder" "$folder.new"
    mkdir -p "$folder.new/debs"
    packages=$(apt-get install -s "$@" --no-install-recommends "$name" 2>/dev/null | awk '/^Inst/{print $2}')
    [ -n "$packages" ] || die "apt cannot install $name (try apt-get update)"
    for package in $packages; do
        (cd "$folder.new/debs" && apt-get -qq -o APT::Sandbox::User=root download "$package") ||
            die "apt-get download $package failed (try apt-get update)"
    done
    for deb in "$folder.new"/debs/*.deb; do dpkg-deb -x "$deb" "$folder.new"; done
    rm -rf "$folder.new/debs"
    mv "$folder.new" "$folder"
}

# Makes $tools/qemu-system-x86_64: the host's QEMU, or one from Debian's packages.
need_qemu() {
    if host=$(command -v qemu-system-x86_64); then
        ln -sfn "$host" "$tools/qemu-system-x86_64"
    elif [ ! -d "$tools/qemu" ]; then
        say "fetching QEMU (once, 80 MiB)"
        unpack qemu-system-x86 "$tools/qemu"
        cat >"$tools/qemu-system-x86_64" <<'END'
#!/bin/sh
qemu=$(dirname "$(readlink -f "$0")")/qemu
export LD_LIBRARY_PATH="$qemu/usr/lib/x86_64-linux-gnu:$qemu/lib/x86_64-linux-gnu"
exec "$qemu/usr/bin/qemu-system-x86_64" -L "$qemu/usr/share/qemu" -L "$qemu/usr/share/seabios" "$@"
END
        chmod +x "$tools/qemu-system-x86_64"
    fi
    "$tools/qemu-system-x86_64" --version >/dev/null || die "QEMU does not start; install qemu-system-x86"
}
