#!/bin/sh
# A compiler for the crates of this workspace that counts for libFuzzer which ways were taken. Cargo calls it with the
# real compiler's name first. Dependencies are compiled by the real one, and shared with every other build.
rustc="$1"
shift
for word in "$@"; do
    case "$word" in
    # Questions to the compiler, build scripts and macros run while building.
    --print* | -vV | proc-macro | build_script_build) exec "$rustc" "$@" ;;
    esac
done
exec "$rustc" "$@" --cfg fuzzing -Copt-level=1 -Cdebug-assertions=on -Coverflow-checks=on -Ccodegen-units=1 \
    -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares
