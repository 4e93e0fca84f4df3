#!/usr/bin/env bash
# Fills the search cluster of a rehearsal from the newest good snapshot of the real one, with templates and settings.
#
#   [rehearsal]
#   fill = ["./fill-search-cluster.sh", "http://real:9200", "backups", "http://scratch:9200", "optimize*"]
#
# The real cluster is only read. The scratch one must reach the same store, and hold no index of these names yet: nothing
# is written over. It registers the store read-only, and forgets it again. Wants curl and jq. For clusters with logins,
# put them into ~/.netrc.
set -euo pipefail
if [ $# -ne 4 ]; then
    echo "expected: REAL-URL REPOSITORY SCRATCH-URL INDICES" >&2
    exit 2
fi
real=$1 repository=$2 scratch=$3 indices=$4
source=liftlock-fill

ask() { curl --silent --show-error --fail-with-body --netrc-optional --header 'Content-Type: application/json' "$@"; }
# `%` and others stand in names of indices.
named=$(jq -rn --arg it "$indices" '$it | @uri')

there=$(ask "$scratch/_cat/indices/$named?expand_wildcards=all&format=json" | jq -r '[.[].index] | join(" ")')
if [ -n "$there" ]; then
    echo "$scratch holds already: $there" >&2
    exit 1
fi
snapshot=$(ask "$real/_snapshot/$repository/_all" |
    jq -r '[.snapshots[] | select(.state == "SUCCESS")] | max_by(.start_time_in_millis) | .snapshot // empty')
if [ -z "$snapshot" ]; then
    echo "repository $repository of $real has no snapshot that is whole" >&2
    exit 1
fi
echo "from $snapshot"
ask "$real/_snapshot/$repository" |
    jq --arg name "$repository" '.[$name] | {type, settings: (.settings | del(.uuid) + {readonly: "true"})}' |
    ask --request PUT "$scratch/_snapshot/$source" --data @- >/dev/null
trap 'ask --request DELETE "$scratch/_snapshot/$source" >/dev/null' EXIT
jq -n --arg it "$indices" '{indices: $it, include_aliases: true, include_global_state: true}' |
    ask --request POST "$scratch/_snapshot/$source/$snapshot/_restore?wait_for_completion=true" --data @- |
    jq -e '.snapshot | "\(.indices | length) indices, \(.shards.successful) of \(.shards.total) shards", .shards.failed == 0'
