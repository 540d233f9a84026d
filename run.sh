#!/usr/bin/env bash
# The front door: builds `hv` when a source changed, fetches what a command needs, and passes the words on.
#
#   ./run.sh                 the main job: a protected guest loses its primary and carries on
#   ./run.sh linux           Debian's kernel to a shell on the serial console
#   ./run.sh test            everything that CI runs
#   ./run.sh bench|sim …     benchmarks, simulator
#   ./run.sh run|standby|pair|boot-test|img|help …    hv itself; ./run.sh help lists it
#
# Needs the .NET 10 SDK and, for `linux`, Debian's apt. Installs nothing; writes to out/ and .cache/ only.
set -euo pipefail
root=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
out=$root/out
cache=$root/.cache
[[ -w $root ]] || cache=${XDG_CACHE_HOME:-$HOME/.cache}/hypervisor
export DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1 DOTNET_SKIP_FIRST_TIME_EXPERIENCE=1

say() { printf 'run.sh: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

need_dotnet() {
  command -v dotnet >/dev/null || PATH=$PATH:$HOME/.dotnet:/usr/share/dotnet:/usr/lib/dotnet
  command -v dotnet >/dev/null || die "no dotnet found; install the .NET 10 SDK (https://dot.net/download)"
}

# Name, time and size of every file that the build reads: what a build was made from is told by this list.
sources() {
  find "$root/src" "$root/firmware" "$root/guest" "$root"/Directory.*.props "$root/global.json" \
    \( -name bin -o -name obj -o -name '*.md' \) -prune -o -type f -printf '%p %T@ %s\n'
}

build_hv() {
  local now
  now=$(sources)
  [[ -x $out/hv/hv && -r $out/hv.sources && $now == "$(<"$out/hv.sources")" ]] && return
  need_dotnet
  mkdir -p "$out"
  exec 9>"$out/lock"
  flock 9 # two first starts at once
  if ! [[ -r $out/hv.sources && $now == "$(<"$out/hv.sources")" ]]; then
    say "building hv (once, about a minute)"
    rm -f "$out/hv.sources"
    dotnet publish "$root/src/Hypervisor" -c Release -r linux-x64 --self-contained false -p:PublishReadyToRun=true \
      -o "$out/hv" >"$out/build.log" 2>&1 \
      || { grep -E ': error ' "$out/build.log" | sort -u >&2; die "the build failed; all of it is in $out/build.log"; }
    printf '%s\n' "$now" >"$out/hv.sources"
  fi
  exec 9>&-
}

hv() {
  build_hv
  exec "$out/hv/hv" "$@"
}

# The package that Debian's meta package of the current cloud kernel depends on. Words: apt's options.
cloud_kernel() {
  apt-cache "$@" depends linux-image-cloud-amd64 2>/dev/null \
    | sed -n 's/^ *Depends: \(linux-image-.*-cloud-amd64\)$/\1/p' | tail -n 1
}

# Downloads Debian's kernel and busybox into the cache, by the package lists of the system or else of our own.
fetch_packages() {
  local -a apt=(-qq -o APT::Sandbox::User=root)
  command -v apt-get >/dev/null || die "linux needs Debian's kernel, and there is no apt-get to fetch it; $instead"
  say "fetching Debian's kernel and busybox (once, 30 MB)"
  if [[ -z $(cloud_kernel "${apt[@]}") ]]; then
    mkdir -p "$cache/apt/lists/partial" "$cache/apt/archives/partial"
    apt+=(-o Dir::State::lists="$cache/apt/lists" -o Dir::Cache="$cache/apt")
    apt-get "${apt[@]}" update >"$cache/apt.log" 2>&1 || true
  fi
  (cd "$cache/packages" && apt-get "${apt[@]}" download "$(cloud_kernel "${apt[@]}")" busybox-static) \
    >"$cache/apt.log" 2>&1 || die "linux: cannot fetch Debian's kernel: $(tail -n 1 "$cache/apt.log"); $instead"
}

cached() { compgen -G "$cache/packages/$1" | sort -V | tail -n 1; }

# Makes vmlinuz, initrd.img and root.img from Debian's packages, by the recipe in guest/linux.
linux_files() {
  local instead="./run.sh alone runs the embedded guest without it" recipe=$root/guest/linux/build.sh kernel busybox
  mkdir -p "$cache/packages"
  [[ $(cached 'linux-image-*.deb') && $(cached 'busybox-static_*.deb') ]] || fetch_packages
  kernel=$(cached 'linux-image-*.deb')
  busybox=$(cached 'busybox-static_*.deb')
  [[ $cache/linux/complete -nt $kernel && $cache/linux/complete -nt $recipe ]] && return
  say "making the Linux guest (once)"
  rm -rf "$cache/linux"
  mkdir -p "$cache/linux"
  "$recipe" "$kernel" "$busybox" "$cache/linux" >"$cache/linux.log" 2>&1 \
    || die "linux: cannot make the guest: $(tail -n 1 "$cache/linux.log") (all of it in $cache/linux.log)"
  touch "$cache/linux/complete"
}

passed=0
failed=0

# Runs one test project and adds its numbers up; no test at all, or an end without numbers, is a failure.
run_tests() {
  local name=$1 log=$out/test/$1.log code=0 total bad skipped
  say "testing $name"
  "$root/tests/$name/bin/Release/net10.0/$name" "${@:2}" >"$log" 2>&1 || code=$?
  read -r total bad skipped < <(sed -nE \
    's/.*Total: ([0-9]+), Errors: [0-9]+, Failed: ([0-9]+), Skipped: ([0-9]+).*/\1 \2 \3/p' "$log" | tail -n 1) || true
  total=${total:-0} bad=${bad:-0} skipped=${skipped:-0}
  [[ $total -gt 0 && ( $code -eq 0 || $bad -gt 0 ) ]] || { bad=$((bad + 1)); total=$((total + 1)); }
  passed=$((passed + total - bad - skipped))
  failed=$((failed + bad))
  [[ $bad -eq 0 ]] || { cat "$log"; say "$name: $bad of $total failed (exit code $code)"; }
}

# Runs a program that says by its exit code alone whether all is well: one test.
run_check() {
  local name=$1 log=$out/test/$1.log
  say "testing $name"
  if "${@:2}" >"$log" 2>&1; then passed=$((passed + 1)); else
    failed=$((failed + 1))
    cat "$log"
    say "$name failed"
  fi
}

run_everything() {
  need_dotnet
  mkdir -p "$out/test"
  say "building everything"
  dotnet build "$root/Hypervisor.sln" -c Release -warnaserror >"$out/test/build.log" 2>&1 \
    || { grep -E '(error|warning) ' "$out/test/build.log" | sort -u; printf '0 passed, 1 failed\n'; exit 1; }
  build_hv
  run_tests Hypervisor.Tests
  run_check simulator "$root/tests/Hypervisor.Simulation/bin/Release/net10.0/Hypervisor.Simulation" --smoke
  run_tests Hypervisor.GuestTests
  printf '%d passed, %d failed\n' "$passed" "$failed"
  [[ $failed -eq 0 && $passed -gt 0 ]]
}

run_project() {
  need_dotnet
  exec dotnet run --project "$root/tests/$1" -c Release -- "${@:2}"
}

case ${1:-} in
  '') hv pair --kill-primary-after 5s ;;
  linux) linux_files; hv linux --files "$cache/linux" "${@:2}" ;;
  test) run_everything ;;
  bench) run_project Hypervisor.Benchmarks "${@:2}" ;;
  sim) run_project Hypervisor.Simulation "${@:2}" ;;
  *) hv "$@" ;;
esac
