#!/usr/bin/env bash
# Fails on what must not be in the tree: long files, paths of a machine, foreign top-level names.
set -euo pipefail
cd "$(dirname "$0")/.."
bad=0
odd=$(git ls-files | cut -d/ -f1 | sort -u | grep -vxE 'agent|aggregator|model|firmware-sim|proto|configs|go\.mod|go\.sum|Makefile|README\.md|LICENSE|NOTICE|docs|tools|\.ci|\.git.*' || true)
[ -z "$odd" ] || { echo "not in the fixed top level: $odd"; bad=1; }
long=$(git ls-files '*.go' | grep -vE '\.pb\.go$|_test\.go$' | xargs wc -l | awk '$2 != "total" && $1 > 600')
[ -z "$long" ] || { echo "files past 600 lines:"; echo "$long"; bad=1; }
paths=$(git grep -n -I -E '(^|[^a-z.])/(home|root|Users)/[a-z]' -- . ':!tools/check-tree.sh' ':!go.sum' || true)
[ -z "$paths" ] || { echo "paths of one machine:"; echo "$paths"; bad=1; }
cross=$(CGO_ENABLED=0 go list -f '{{.ImportPath}}: {{join .Imports " "}}' ./agent/... | grep -E 'fairwatt/aggregator' || true)
[ -z "$cross" ] || { echo "the agent's side imports the aggregator's: $cross"; bad=1; }
cross=$(CGO_ENABLED=0 go list -f '{{.ImportPath}}: {{join .Imports " "}}' ./aggregator/... | grep -E 'fairwatt/agent' || true)
[ -z "$cross" ] || { echo "the aggregator's side imports the agent's: $cross"; bad=1; }
[ $bad -eq 0 ] && echo 'tree: in order'
exit $bad
