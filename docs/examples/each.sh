#!/bin/sh
# each.sh FOLDER COMMAND…: run COMMAND on every file of FOLDER that is this instance's part of the batch.
set -eu
folder=$1
shift
number=0
for file in "$folder"/*; do
  if [ $((number % KOINON_COUNT)) -eq "$KOINON_INDEX" ]; then
    "$@" "$file"
  fi
  number=$((number + 1))
done
