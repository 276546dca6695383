#!/usr/bin/env bash
# Runs the whole system for a minute with every kind of trouble in turn and
# reads the reports: trades settle, nothing is lost, the chain verifies, and an
# altered export does not.
set -euo pipefail
cd "$(dirname "$0")/.."
go build -o build/gridcheck ./tools/gridcheck 2>/dev/null || (cd tools && go build -o ../build/gridcheck ./gridcheck)
build/gridcheck "$@"
