#!/usr/bin/env bash
# Writes the Go code of every .proto below proto/ into the tree DIR (default: here).
# buf compiles the schema; the plugins are pinned in tools/go.mod.
set -euo pipefail
dest=$(cd "${1:-.}" && pwd)
cd "$(dirname "$0")/.."
bin=$(mktemp -d)
trap 'rm -rf "$bin"' EXIT
(cd tools && CGO_ENABLED=0 go build -o "$bin/" \
	github.com/bufbuild/buf/cmd/buf \
	google.golang.org/protobuf/cmd/protoc-gen-go \
	google.golang.org/grpc/cmd/protoc-gen-go-grpc)
PATH="$bin:$PATH" buf generate --template tools/buf.gen.yaml -o "$dest" .
