# fairwatt: `make` alone lists the targets. Needs Go and make; only `race` needs a C compiler.
SHELL := /bin/bash
.DEFAULT_GOAL := help
export CGO_ENABLED := 0

TRACES ?=
HTTP   ?= 127.0.0.1:8080
ARGS   ?=
BENCH_SOAK ?= 10m
# The version is the tag, the same in all programs; without a tag they say "devel".
VERSION ?= $(shell git describe --tags --match 'v[0-9]*' --dirty 2>/dev/null)
STAMP  := $(if $(VERSION),-X main.version=$(VERSION))
BUILD  := go build -trimpath $(if $(STAMP),-ldflags='$(STAMP)')
STRIP  := -ldflags='-s -w $(STAMP)'
# For the boards, all is built without inlining, and on 32 bits, where pages have 4 kB,
# not filled up to 64 kB: it saves 1.3 MB of 21, and one judgement a second does not
# notice. A Pi of 64 bits may have larger pages. build/slim.mod (tools/slim.sh) lets the
# linker leave out what no one calls: 4.5 MB more.
SMALL  := -gcflags=all=-l -modfile=build/slim.mod
SMALL32 := -ldflags='-s -w -R 4096 $(STAMP)' $(SMALL)
# Packages whose tests `make mutate` measures: the core, where a fault costs most.
MUTATE := model agent/trade agent/outbox aggregator/ledger aggregator/consensus/guard proto/seal
comma  := ,
empty  :=
TOOL   := go tool -modfile=$(CURDIR)/tools/go.mod

.PHONY: help build run test race long catchup simulate soak bench bench-anchor mutate verify proto arm deb kernel train evaluate clean

help: ## list the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## build the four programs into bin/
	$(BUILD) -o bin/ ./agent/cmd/agent ./aggregator/cmd/aggregator ./model/cmd/model ./firmware-sim

run: build ## start the whole system on this machine and show it on http://127.0.0.1:8080 (TRACES=DIR replays your own traces)
	bin/firmware-sim grid --http $(HTTP) $(if $(TRACES),--traces $(TRACES)) $(ARGS)

test: ## run all tests (under 5 minutes on 2 cores), those of scoring with the tag lite too
	go test -timeout 280s ./...
	go test -timeout 280s -tags lite ./model/nnet ./agent/cmd/agent

# Packages that start goroutines or share memory between them, tests included; the rest cannot race.
RACE    = $(shell git grep -lE '^[[:space:]]+go (func|[a-z])|errgroup|"sync(/atomic)?"' -- '*.go' ':!*.pb.go' ':!tools' | xargs -n1 dirname | sort -u | sed 's,^,./,')

# The tests of damaged files let bbolt read past the end of a value, which proto/boltfile
# catches; the pointer checks that -race brings along would end the program.
race: ## run the tests of the packages with goroutines under the race detector (needs gcc)
	CGO_ENABLED=1 go test -race -gcflags='go.etcd.io/bbolt/...=-d=checkptr=0' -timeout 1200s $(RACE)

long: ## run the tests, the long ones too
	FAIRWATT_LONG=1 go test -timeout 1800s ./...

catchup: ## measure how long a data aggregator whose folder is deleted takes to catch up (RECORDS=100000)
	FAIRWATT_RECORDS=$(or $(RECORDS),100000) go test -count=1 -v -timeout 3600s -run '^TestCatchUpRecords$$' ./aggregator

SEEDS ?= 200
simulate: ## simulate data aggregators, faults and liars by seeds (SEEDS=200)
	FAIRWATT_SEEDS=$(SEEDS) go test -count=1 -timeout 7200s -run '^TestSimulation$$' ./aggregator/consensus

SOAK ?= 10m
SEED ?= 1
soak: build ## hurt 7 data aggregators under load and see that nothing is lost (SOAK=10m SEED=1)
	@mkdir -p build
	bin/firmware-sim soak --for $(SOAK) --seed $(SEED) --aggregator bin/aggregator --report build/soak-$(SEED).json $(ARGS)

bench: build arm ## measure speed and memory: a table, and build/bench.json (BENCH_SOAK=10m is how long each agent runs)
	@mkdir -p build
	$(BUILD) $(STRIP) $(SMALL) -o build/agent ./agent/cmd/agent
	$(BUILD) $(STRIP) $(SMALL) -tags lite -o build/agent-lite ./agent/cmd/agent
	cd tools && go build -o ../build/benchtable ./benchtable
	build/benchtable --soak $(BENCH_SOAK) --out build/bench.json

bench-anchor: ## measure CometBFT v1.0.1 and four data aggregators beside each other (RECORDS=20000)
	@mkdir -p build
	go test -c -o build/anchor.test ./aggregator
	cd tools/cometbft && go build -o ../../build/cometbft . && go test ./...
	build/cometbft --records $(or $(RECORDS),20000)

# How many mutants of each package `make mutate` tries, drawn with a fixed seed; 0 tries all, which takes the better part of an hour.
MUTANTS ?= 250

mutate: ## change the core one line at a time and see that the tests notice; rewrites docs/mutants.md (MUTANTS=0 tries every change)
	@mkdir -p build
	cd tools && go build -o ../build/mutate ./mutate
	build/mutate --package $(subst $(empty) $(empty),$(comma),$(strip $(MUTATE))) --reasons tools/mutate/reasons.txt --sample $(MUTANTS) --out docs/mutants.md $(ARGS)

verify: ## check format, vet, static analysis, modules, generated code, the rules of the house and known vulnerabilities
	@mkdir -p build
	@echo 'gofmt'; out=$$(gofmt -l $$(git ls-files '*.go')); test -z "$$out" || { echo "gofmt would change: $$out"; exit 1; }
	go vet ./...
	go vet -tags lite ./model/nnet ./agent/...
	$(TOOL) staticcheck ./...
	go mod tidy -diff
	go mod verify
	tools/check-proto.sh
	cd tools && go build -o ../build/housecheck ./housecheck && go vet ./... && go test -timeout 280s ./...
	build/housecheck
	tools/check-vuln.sh

proto: ## regenerate the protobuf code
	tools/gen-proto.sh .

arm: ## build stripped agents for armv6, armv7 and arm64 into bin/linux-*/, and agent-lite, which scores without Gorgonia
	tools/slim.sh
	set -e; for tags in "agent -tags nethttpomithttp2" "agent-lite -tags lite,nethttpomithttp2"; do \
		set -- $$tags; name=$$1; shift; \
		GOOS=linux GOARCH=arm GOARM=6 $(BUILD) $(SMALL32) "$$@" -o bin/linux-armv6/$$name ./agent/cmd/agent; \
		GOOS=linux GOARCH=arm GOARM=7 $(BUILD) $(SMALL32) "$$@" -o bin/linux-armv7/$$name ./agent/cmd/agent; \
		GOOS=linux GOARCH=arm64 $(BUILD) $(STRIP) $(SMALL) "$$@" -o bin/linux-arm64/$$name ./agent/cmd/agent; \
	done
	tools/check-size.sh

DEB_ARCHS ?= armhf,arm64,amd64
deb: ## build Debian packages for armhf (ARMv6 and later), arm64 and amd64 into build/deb/ (DEB_ARCHS=amd64)
	@mkdir -p build
	cd tools && go build -o ../build/mkdeb ./mkdeb
	build/mkdeb --arch $(DEB_ARCHS) --version '$(VERSION)' --out build/deb

kernel: arm ## run the agent for ARM on Debian's kernel in an emulator, with a real I2C bus and GPIO lines (skips without qemu-system-arm)
	tools/check-kernel.sh

train: build ## train the network from DATA (default ../shared/data/weather) and compare it with the shipped weights
	@mkdir -p build
	bin/model train --config configs/model/hazard-1.yaml --data $(or $(DATA),../shared/data/weather) --out build/hazard-1.fwnn
	gzip -dc model/nnet/weights/hazard-1.fwnn.gz | cmp build/hazard-1.fwnn - && echo "the shipped weights, bit for bit"

evaluate: build ## measure network and rules against baselines and goals on DATA (default ../shared/data)
	@mkdir -p build
	bin/model evaluate --data $(or $(DATA),../shared/data) --out build/evaluate.json

clean: ## remove what was built
	rm -rf bin build
