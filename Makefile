# Heed. `make run` builds everything and starts the demo; `make help` lists the rest.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X main.version=$(VERSION)
GOLANGCI := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
GOSRC   := $(shell git ls-files '*.go' go.mod go.sum 2>/dev/null)
WEBSRC  := $(shell git ls-files web api/openapi.yaml 2>/dev/null)
TOOLS   := $(CURDIR)/.tools

.PHONY: help run build web test check bench soak fmt clean

help: ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):[^#]*## */  make \1\t/' | expand -t 16

run: build ## build everything and start Heed with the demo shop
	./bin/heed run --demo

build: web ## write bin/heed, with tracker, shop and console inside
	go build -trimpath -ldflags '$(LDFLAGS)' -o bin/heed ./cmd/heed

web: web/.built ## build the tracker, the shop and the console

web/node_modules/.installed: web/package-lock.json
	cd web && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

web/.built: web/node_modules/.installed $(WEBSRC)
	cd web && npm run build --silent
	@touch $@

test: build ## run every test that this machine can run, with real services
	./scripts/test

check: web/node_modules/.installed $(TOOLS)/golangci-lint ## format, lint, vet, dependency rule
	$(TOOLS)/golangci-lint fmt --diff
	go vet ./...
	$(TOOLS)/golangci-lint run
	go test -count=1 .
	go mod tidy -diff
	cd web && npm run check --silent

$(TOOLS)/golangci-lint: Makefile
	GOBIN=$(TOOLS) GOFLAGS= go install $(GOLANGCI)
	@touch $@

fmt: web/node_modules/.installed $(TOOLS)/golangci-lint ## format everything
	$(TOOLS)/golangci-lint fmt
	cd web && npm run fix --silent

bench: build ## print every performance goal beside its floor, from one run
	./scripts/bench

soak: build ## long runs: random crashes, fuzzing, differential tests
	./scripts/soak

clean: ## remove what was built
	rm -rf bin web/.built web/*/dist/assets .tools
