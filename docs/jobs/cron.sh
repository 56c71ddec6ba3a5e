#!/usr/bin/env bash
# What cron starts: predicts the scenes that have come since the last time, then updates the zones.
#     cron.sh RUN SCENES OUT ZONES
# Prints nothing when all is well, so that cron writes a mail only when someone should look.
set -euo pipefail
run=$1 scenes=$2 out=$3 zones=$4
mkdir -p "$out"
code=0
result=$(seepseg predict "$run" "$scenes" -o "$out" --quiet --json --log-file "$out/log.txt" 2>/dev/null) || code=$?
case $code in
    0 | 4) ;;      # 4: some scenes failed, the others are done
    6) exit 0 ;;   # the last one is still at it
    *)
        echo "$result" >&2
        exit "$code"
        ;;
esac
zoned=0
result=$(seepseg zones "$out" -o "$zones" --quiet --json --log-file "$out/log.txt" 2>/dev/null) || zoned=$?
case $zoned in
    0 | 6) ;; # 6: the zones of the last one are still being made; the next one takes in what is new
    *)
        echo "$result" >&2
        exit "$zoned"
        ;;
esac
if [ "$code" = 4 ]; then
    echo "some scenes failed:" >&2
    cat "$out/failures.jsonl" >&2
fi
exit "$code"
