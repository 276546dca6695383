#!/usr/bin/env bash
# Runs the whole system with every kind of trouble in turn (tools/gridcheck).
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p build
(cd tools && CGO_ENABLED=0 go build -o ../build/gridcheck ./gridcheck)
build/gridcheck "$@"
