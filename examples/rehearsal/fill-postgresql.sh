#!/usr/bin/env bash
# Fills the database of a rehearsal with a dump of the real one, or with one that is there already.
#
#   [rehearsal]
#   fill = ["./fill-postgresql.sh", "host=real dbname=camunda user=camunda", "host=scratch dbname=rehearsal user=camunda"]
#
# The real database is only read. The scratch one must be there, and be empty: nothing is written over. With a third
# word, that is the dump's file (pg_dump --format=custom), and the real database is not asked at all. Passwords come from
# ~/.pgpass or PGPASSWORD. What Liftlock keeps for its runs in the real database stays out.
#
# Engines on a copy do what engines do: they send mails, call services, complete external tasks. Start them where nothing
# real can be reached.
set -euo pipefail
if [ $# -lt 2 ] || [ $# -gt 3 ]; then
    echo "expected: REAL-CONNECTION SCRATCH-CONNECTION [DUMP]" >&2
    exit 2
fi
real=$1 scratch=$2

tables=$(psql --no-psqlrc --tuples-only --no-align --dbname "$scratch" \
    --command "select count(*) from information_schema.tables where table_schema not in ('pg_catalog', 'information_schema')")
if [ "$tables" -ne 0 ]; then
    echo "the scratch database holds $tables tables already" >&2
    exit 1
fi
if [ $# -eq 3 ]; then
    dump=$3
else
    dump=$(mktemp)
    trap 'rm -f "$dump"' EXIT
    pg_dump --format=custom --exclude-table='liftlock_*' --file "$dump" --dbname "$real"
fi
pg_restore --no-owner --single-transaction --dbname "$scratch" "$dump"
echo "restored $(psql --no-psqlrc --tuples-only --no-align --dbname "$scratch" \
    --command "select count(*) from information_schema.tables where table_schema not in ('pg_catalog', 'information_schema')") tables"
