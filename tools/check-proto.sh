#!/usr/bin/env bash
# Fails when the committed protobuf code is not what the schema generates.
set -euo pipefail
cd "$(dirname "$0")/.."
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
tools/gen-proto.sh "$copy"
for f in $(git ls-files 'proto/*.pb.go'); do
	diff -u "$f" "$copy/$f" >"$copy/diff" || { head -n 20 "$copy/diff"; echo "$f is not what its .proto generates: run make proto"; exit 1; }
done
echo 'proto: generated code is current'
