# SPDX-License-Identifier: Apache-2.0
#
# The task runner. `make demo` and `make test` do all the set-up that a machine with Swift, make and apt needs.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help demo compare bench faults benchmarks test matrix check docs format lint layers footprint hiredis tsan install build packages

# What the library needs to build, what the demo runs, what benchmarks and tests start. Debian's names.
BUILD_PACKAGES := libhiredis-dev zlib1g-dev
DEMO_PACKAGES := $(BUILD_PACKAGES) redis-server haproxy curl openssl
BENCH_PACKAGES := $(BUILD_PACKAGES) redis-server redis-tools wrk openssl
TEST_PACKAGES := $(DEMO_PACKAGES) redis-tools nginx libnginx-mod-stream chromium iproute2

SWIFT_SOURCES := Package.swift Sources Tests Samples $(wildcard Benchmarks Snippets)

# debug or release: how programs are built. The demo is to be there soon, the measurements are to be fast.
CONFIG ?= $(if $(filter demo,$(MAKECMDGOALS)),debug,release)
# 1: `make demo` plays a scripted visitor and exits with 0 or 1, instead of waiting for browsers.
CHECK ?=
# How the demo keeps its sessions; hybrid: in Redis, with a near cache and a balancer that pins visitors.
STRATEGY ?= redis
STRATEGIES := redis memory sealed replicated hybrid
# The ports of the demo's balancer for https and http; empty: free ones.
PORT ?=
HTTP_PORT ?=
# Options of `make compare`: --visitors 100 --strategies redis,memory; of `make bench`: --parts client; --help lists them.
ARGS ?=
# Where `make install` installs.
PREFIX ?= /usr/local
# 1: `make bench` measures the most important part, within 5 minutes.
QUICK ?=

help: ## This list.
	@echo "make TARGET [CONFIG=debug|release] [CHECK=1] [PORT=8443] [STRATEGY=redis] [FILTER=test-name] [QUICK=1] [ARGS=\"--visitors 100\"]"
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 12

demo: ## A shop on three instances behind a balancer, until Ctrl-C; CHECK=1: a scripted visitor; STRATEGY=memory and others.
	@[[ " $(STRATEGIES) " == *" $(STRATEGY) "* ]] || { echo "make: STRATEGY is one of $(STRATEGIES), not $(STRATEGY)" >&2; exit 2; }
	@Scripts/install.sh $(DEMO_PACKAGES)
	@[[ -d .build/checkouts/hummingbird ]] || echo "The first build compiles all dependencies: three to five minutes on two cores; the next one takes seconds."
	swift build -c $(CONFIG) --product Storefront
	@CHECK=$(CHECK) PORT=$(PORT) HTTP_PORT=$(HTTP_PORT) STRATEGY=$(STRATEGY) Scripts/demo.sh "$$(swift build -c $(CONFIG) --show-bin-path)/Storefront"

compare: ## All strategies under one workload and one plan of faults: tables, and a report with plots.
	@Scripts/install.sh $(DEMO_PACKAGES)
	swift build -c $(CONFIG) --product fixture-app
	swift build --package-path Benchmarks -c $(CONFIG) --product compare
	@FIXTURE_APP="$$(swift build -c $(CONFIG) --show-bin-path)/fixture-app" \
		"$$(swift build --package-path Benchmarks -c $(CONFIG) --show-bin-path)/compare" --output .build/compare-report.html $(ARGS)

bench: ## The client, sessions over HTTP, peers and growth, measured in one run: ratios, tables and plots; QUICK=1: in 5 minutes.
	@Scripts/install.sh $(BENCH_PACKAGES)
	@Benchmarks/Peers/install.sh .build/peers
	swift build -c $(CONFIG) --product fixture-app
	swift build --package-path Benchmarks -c $(CONFIG) --product bench
	@FIXTURE_APP="$$(swift build -c $(CONFIG) --show-bin-path)/fixture-app" \
		"$$(swift build --package-path Benchmarks -c $(CONFIG) --show-bin-path)/bench" \
		--peers .build/peers --output .build/bench-report.html $(if $(QUICK),--quick) $(ARGS)

faults: ## Topologies that break under load: what is lost and refused, and for how long; ARGS="--scenario sentinel-kill" for some.
	@Scripts/install.sh $(BENCH_PACKAGES)
	swift build --package-path Benchmarks -c $(CONFIG) --product faults
	@"$$(swift build --package-path Benchmarks -c $(CONFIG) --show-bin-path)/faults" $(ARGS)

# Not part of `make test`: the package in Benchmarks has a build folder of its own.
benchmarks: packages ## Builds the package in Benchmarks and tests compare, bench and faults.
	swift build --product fixture-app
	swift test --package-path Benchmarks --filter '^(CompareTests|BenchTests|FaultsTests)\.'

# One suite after the other: the client's and the servers' tests watch deadlines and would take each other's processor time, the
# simulation and the counting of allocations take all of it, and the latter counts what others allocate in its process.
test: build ## Every test; FILTER=name for some.
ifdef FILTER
	swift test --skip-build --filter '$(FILTER)'
else
	swift test --skip-build --skip '^(AllocationTests|HiredisTests|FixtureTests)\.|Simulation of the log'
	swift test --skip-build --filter 'Simulation of the log'
	swift test --skip-build --filter '^AllocationTests\.'
	swift test --skip-build --filter '^HiredisTests\.' --skip '^HiredisTests\.Topologies'
	swift test --skip-build --filter '^HiredisTests\.Topologies'
	swift test --skip-build --filter '^FixtureTests\.'
endif

matrix: build ## The tests of client and stores on every supported server, Redis and Valkey; ARGS="SERVER …" for some, FILTER=name for some tests.
	@Scripts/matrix.sh .build/servers '$(or $(FILTER),^(RedisSessionsTests|HiredisTests)\.)' $(ARGS)

check: lint layers test docs ## All that must hold before a commit: format, layers, build, tests, documentation.

docs: build ## Builds the documentation of every library, with warnings as errors; it lands in .build/docs.
	@Scripts/docs.sh

format: ## Formats every Swift file in place.
	swift format --in-place --parallel --recursive $(SWIFT_SOURCES)

lint: ## Says what `make format` would change.
	swift format lint --strict --parallel --recursive $(SWIFT_SOURCES)

layers: ## Checks who imports whom.
	@Scripts/layers.sh

hiredis: ## Tests the C parser with the installed hiredis and with 1.5, with sanitizers; SEED=7 ROUNDS=1000000.
	@Scripts/install.sh $(BUILD_PACKAGES) gcc
	@Scripts/hiredis.sh $(SEED) $(ROUNDS)

tsan: ## Races of the client's waiting callers under ThreadSanitizer.
	@Scripts/tsan.sh

footprint: ## Counts the packages that users resolve, by trait; tests the trait Configuration and the FlyingFox sample.
	@Scripts/footprint.sh

# Below DESTDIR, if that is set, for packagers.
install: ## Installs sessionctl, its man page and completions below PREFIX (/usr/local).
	@Scripts/install.sh $(BUILD_PACKAGES)
	@Scripts/sessionctl.sh '$(DESTDIR)$(PREFIX)' $(CONFIG)

build: packages ## Builds everything, tests included.
	swift build --build-tests

packages: ## Installs the system packages that are missing.
	@Scripts/install.sh $(TEST_PACKAGES)
