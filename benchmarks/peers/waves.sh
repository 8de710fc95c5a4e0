#!/usr/bin/env bash
# What a person at a shell does: GNU parallel and curl, in waves. Post N, ask until all N are done, fetch them, next.
#
#     benchmarks/peers/waves.sh rows.csv out BASE_URL N POLL_SECONDS
#
# Keys come from KLING_ACCESS_KEY and KLING_SECRET_KEY. The sheet is one of benchmarks.campaigns: no quotes in it.
set -euo pipefail

command -v parallel > /dev/null || {
    echo "GNU parallel is missing. Install it: apt-get install parallel (Debian, Ubuntu), brew install parallel (macOS)" >&2
    exit 2
}
sheet=$1 out=$2 base=$3 wave=$4 poll=$5
export URL="$base/v1/videos/avatar/image2video" OUT="$out"
FOLDER=$(dirname "$sheet")
export FOLDER
mkdir -p "$out"

url_safe() { openssl base64 -A | tr '+/' '-_' | tr -d '='; }
now=$(date +%s)
head=$(printf '{"alg":"HS256","typ":"JWT"}' | url_safe)
claims=$(printf '{"iss":"%s","exp":%d,"nbf":%d}' "$KLING_ACCESS_KEY" $((now + 1800)) $((now - 5)) | url_safe)
signed=$(printf '%s.%s' "$head" "$claims" | openssl dgst -sha256 -hmac "$KLING_SECRET_KEY" -binary | url_safe)
export AUTH="Authorization: Bearer $head.$claims.$signed"

post() {
    IFS=, read -r id image sound prompt <<< "${1%$'\r'}"
    {
        printf '{"external_task_id":"%s","prompt":"%s","image":"' "$id" "$prompt"
        base64 -w0 "$FOLDER/$image"
        printf '","sound_file":"'
        base64 -w0 "$FOLDER/$sound"
        printf '"}'
    } | curl -sS --fail-with-body -H "$AUTH" -H 'Content-Type: application/json' --data-binary @- "$URL" > /dev/null
}
# Prints the id of a task that is not done yet; fetches the video of one that is.
look() {
    id=${1%%,*}
    [ -e "$OUT/$id.mp4" ] && return
    reply=$(curl -sS -H "$AUTH" "$URL/$id")
    case $reply in
        *'"task_status":"succeed"'*)
            video=$(sed 's/.*"url":"\([^"]*\)".*/\1/' <<< "$reply")
            curl -sS -o "$OUT/$id.mp4" "$video"
            ;;
        *'"task_status":"failed"'*) echo "$reply" >&2 ;;
        *) echo "$id" ;;
    esac
}
export -f post look

rows=$(mktemp -d)
trap 'rm -r "$rows"' EXIT
tail -n +2 "$sheet" | split -l "$wave" - "$rows/wave-"
for these in "$rows"/wave-*; do
    parallel -j "$wave" post < "$these"
    while [ -n "$(parallel -j "$wave" look < "$these")" ]; do
        sleep "$poll"
    done
done
