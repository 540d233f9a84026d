#!/usr/bin/env bash
# The front door: builds `hv` when a source changed, fetches what a command needs, and passes the words on.
#
#   ./run.sh                 the main job: a protected guest loses its primary and carries on
#   ./run.sh linux           Debian's kernel to a shell on the serial console
#   ./run.sh test            everything that CI runs
#   ./run.sh bench|sim …     benchmarks, simulator
#   ./run.sh bench spine     the promised speed, boot, pause, memory and takeover, measured into a table
#   ./run.sh bench kit       speed against QEMU TCG and the bare host into docs/performance.md; BENCH_KIT=folder of the kit
#   ./run.sh bench systemd   Debian with systemd to its login prompt, here and under QEMU TCG, into docs/performance.md
#   ./run.sh bench protected what protection costs a benchmark of the kit, into docs/performance.md
#   ./run.sh bench goals, growth, peers, soak   the design's goals, measured, into docs/protection.md
#   ./run.sh bench takeovers, database   a guest loses host after host (root: network namespaces), into docs/protection.md
#   ./run.sh mutants         breaks the product, rule by rule, and looks whether a test fails; --rule N for one rule
#   ./run.sh diff …          random instructions here and on the bare host: --seed S --cases N --only MNEMONIC
#   ./run.sh diff --programs N …   random programs likewise: --seed S --engine E --against host|E (then with stops) --kind K
#   ./run.sh run|standby|pair|boot-test|img|help …    hv itself; ./run.sh help lists it
#
# Needs the .NET 10 SDK and, for `linux`, Debian's apt. Installs nothing; writes to out/ and .cache/ only.
set -euo pipefail
root=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
out=$root/out
cache=$root/.cache
kit=${BENCH_KIT:-$root/../shared/bench}
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

# Makes vmlinuz, initrd.gz and disk.img by the recipe in guest/linux, which downloads Debian's kernel and busybox once.
linux_files() {
  build_hv
  mkdir -p "$cache"
  sh "$root/guest/linux/build.sh" "$cache" "$out/hv/Hypervisor.Guest.dll" 2>"$cache/linux.log" \
    || die "linux: $(tail -n 1 "$cache/linux.log"); ./run.sh alone runs the embedded guest without it"
}

# The guest benchmark kit lies beside the checkout; what it needs is made once.
kit_files() {
  [[ -f $kit/build.sh ]] || die "bench kit: no guest benchmark kit in $kit; set BENCH_KIT to its folder"
  build_hv
  sh "$root/tests/Hypervisor.Benchmarks/kit-files.sh" "$cache" "$kit" || exit 1
}

# A Debian installation with systemd, with the kernel that `linux` boots; made once.
systemd_files() {
  linux_files
  sh "$root/tests/Hypervisor.Benchmarks/systemd-files.sh" "$cache" || exit 1
}

# A real etcd, for the tests of the witness there; without Debian's packages they are skipped.
etcd_files() {
  command -v etcd >/dev/null || [[ -d $cache/etcd ]] \
    || sh "$root/tests/Hypervisor.Benchmarks/etcd-files.sh" "$cache" || say "no etcd: its tests will be skipped"
}

etcd_program() { command -v etcd || printf '%s\n' "$cache/etcd/usr/bin/etcd"; }

passed=0
failed=0
smoke_schedules=2000 # on top of the ten thousand that Hypervisor.Tests runs

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
  [[ $bad -eq 0 ]] && return
  grep -avE '^hv: ' "$log" | tail -n 400 || true # without what the machines said: that is long, and stays in the log
  say "$name: $bad of $total failed (exit code $code); all of it: $log"
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
  etcd_files
  HV_CACHE=$cache run_tests Hypervisor.Tests
  run_check simulator "$root/tests/Hypervisor.Simulation/bin/Release/net10.0/Hypervisor.Simulation" \
    --seed 1 --schedules "$smoke_schedules"
  run_tests Hypervisor.GuestTests
  printf '%d passed, %d failed\n' "$passed" "$failed"
  [[ $failed -eq 0 && $passed -gt 0 ]]
}

run_project() {
  need_dotnet
  exec dotnet run --project "$root/tests/$1" -c Release -- "${@:2}"
}

# As run_project, in mount and process namespaces of its own: whatever ends it, no mount, network or process of it stays.
run_alone() {
  need_dotnet
  dotnet build "$root/tests/$1" -c Release -v quiet -nologo >"$out/build-$1.log" 2>&1 \
    || { grep -E ': error ' "$out/build-$1.log" | sort -u >&2; die "the build failed"; }
  exec unshare --mount --pid --fork --kill-child --mount-proc sh -c \
    'mkdir -p /run/netns && mount -t tmpfs netns /run/netns && exec "$@"' sh \
    "$root/tests/$1/bin/Release/net10.0/$1" "${@:2}"
}

case ${1:-} in
  '') hv pair --kill-primary-after 5s ;;
  linux) linux_files; hv linux --files "$cache/linux" "${@:2}" ;;
  test) run_everything ;;
  diff) run_project Hypervisor.Benchmarks "$@" ;;
  bench)
    if [[ ${2:-} == spine ]]; then
      linux_files
      run_project Hypervisor.Benchmarks spine "$out/hv/hv" "$cache/linux" "${@:3}"
    fi
    if [[ ${2:-} == kit ]]; then
      kit_files
      run_project Hypervisor.Benchmarks kit "$out/hv/hv" "$kit" "$cache" "$root" "${@:3}"
    fi
    if [[ ${2:-} == protected ]]; then
      kit_files
      run_project Hypervisor.Benchmarks protected "$out/hv/hv" "$cache" "$root" "${@:3}"
    fi
    if [[ ${2:-} == takeovers ]]; then
      linux_files
      etcd_files
      run_alone Hypervisor.Benchmarks takeovers "$out/hv/hv" "$cache/linux" "$(etcd_program)" "$root" "${@:3}"
    fi
    if [[ ${2:-} == database || ${2:-} == soak ]]; then
      linux_files
      etcd_files
      sh "$root/tests/Hypervisor.Benchmarks/database-files.sh" "$cache" || exit 1
      run_alone Hypervisor.Benchmarks "$2" "$out/hv/hv" "$cache/linux" "$cache/database" "$(etcd_program)" "$root" \
        "${@:3}"
    fi
    if [[ ${2:-} == goals ]]; then
      linux_files
      etcd_files
      kit_files
      run_alone Hypervisor.Benchmarks goals "$out/hv/hv" "$cache/linux" "$cache/kit" "$(etcd_program)" "$root" "${@:3}"
    fi
    if [[ ${2:-} == growth ]]; then
      build_hv
      run_project Hypervisor.Benchmarks growth "$out/hv/hv" "$root" "${@:3}"
    fi
    if [[ ${2:-} == peers ]]; then
      kit_files
      run_alone Hypervisor.Benchmarks peers "$out/hv/hv" "$kit" "$cache/kit" "$cache/kit-tools/qemu-system-x86_64" "$root" \
        "${@:3}"
    fi
    if [[ ${2:-} == latency ]]; then
      linux_files
      run_alone Hypervisor.Benchmarks latency "$out/hv/hv" "$cache/linux" "$root" "${@:3}"
    fi
    if [[ ${2:-} == systemd ]]; then
      systemd_files
      run_project Hypervisor.Benchmarks systemd "$out/hv/hv" "$cache" "$root" "${@:3}"
    fi
    run_project Hypervisor.Benchmarks "${@:2}"
    ;;
  mutants) run_project Hypervisor.Benchmarks mutants "$root" "${@:2}" ;;
  sim) run_project Hypervisor.Simulation "${@:2}" ;;
  *) hv "$@" ;;
esac
