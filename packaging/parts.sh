# Shell functions of packaging/test and .ci/run: parts of a test, each with a time limit, and their sum. For bash.

# Background jobs keep the usual handling of signals, and are groups of their own.
set -m
parts_logs=$(mktemp -d "${TMPDIR:-/tmp}/proctor-parts-XXXXXX")
parts_passed=0
parts_failed=0
parts_lines=()
parts_job=
parts_clean_up() {
    if [ -n "$parts_job" ]; then kill "$parts_job" 2>/dev/null; fi
    rm -rf "$parts_logs"
}
trap parts_clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# What a log sums up: its last line if that is a sum as parts_sum prints it, else all the sums in it.
parts_counts() {
    local sum='s/^(.*[^0-9])?([0-9]+) passed[,;] ([0-9]+) failed.*/\2 \3/p'
    { tail -n 1 "$1" | grep -E '^[0-9]+ passed, [0-9]+ failed$' || cat "$1"; } | sed -nE "$sum" |
        awk '{ passed += $1; failed += $2 } END { print passed + 0, failed + 0 }'
}

# part NAME SECONDS COMMAND...: runs a part and shows what it says. A part that takes longer is killed and has failed.
# Counts what test runners sum up ("N passed, N failed", "N passed; N failed"); a part that sums nothing up counts as
# one. Exit status 77 means that it was skipped.
part() {
    local name=$1 limit=$2 log=$parts_logs/log status begin passed failed line
    shift 2
    echo "== $name"
    begin=$(date +%s)
    : >"$log"
    timeout -k 10 "$limit" "$@" >"$log" 2>&1 </dev/null &
    parts_job=$!
    # Not a pipe: a process that outlives the part must not keep us waiting.
    tail -n +1 -s 0.2 --pid=$parts_job -f "$log" &
    local tail=$!
    wait "$parts_job"
    status=$?
    parts_job=
    wait "$tail"
    read -r passed failed < <(parts_counts "$log")
    case $status in
        0) [ "$((passed + failed))" = 0 ] && passed=1 ;;
        77) ;;
        *) [ "$failed" = 0 ] && failed=1 ;;
    esac
    line="$name: $passed passed, $failed failed, $(($(date +%s) - begin)) s"
    case $status in
        0 | 77) ;;
        124 | 137) line="$line (killed after $limit s)" ;;
        *) line="$line (exit status $status)" ;;
    esac
    [ "$status" = 77 ] && line="$line; skipped: $(sed -n 's/^SKIP: //p' "$log" | tail -n 1)"
    parts_lines+=("$line")
    parts_passed=$((parts_passed + passed))
    parts_failed=$((parts_failed + failed))
    return 0
}

# Prints a line for each part and the sum, which is the last line. Fails if anything has failed.
parts_sum() {
    echo
    printf '%s\n' "${parts_lines[@]}"
    echo "$parts_passed passed, $parts_failed failed"
    [ "$parts_failed" = 0 ]
}
