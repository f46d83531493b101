# Go, make and git are enough; what else is needed is built from hack/go.mod into bin/, or gets itself (internal/local/cluster).
# A C compiler is used for the race detector where there is one.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
# That of a release begins with v and three numbers, also before the first tag.
RELEASE_VERSION = $(if $(filter v%,$(VERSION)),$(VERSION),v0.0.0-$(VERSION))
GO      ?= go
# The oldest Go that the libraries support, as a toolchain.
FLOOR_GO ?= go1.24.9

# Tools are named by their version, so that another version is another file.
tool_version   = $(shell cd hack && GOWORK=off $(GO) list -m -f '{{.Version}}' $(1))
CONTROLLER_GEN = bin/controller-gen-$(call tool_version,sigs.k8s.io/controller-tools)
GOLANGCI_LINT  = bin/golangci-lint-$(call tool_version,github.com/golangci/golangci-lint/v2)-$(call tool_version,sigs.k8s.io/kube-api-linter)
APIDIFF        = bin/apidiff-$(call tool_version,golang.org/x/exp)
ACTIONLINT     = bin/actionlint-$(call tool_version,github.com/rhysd/actionlint)
CRD_REF_DOCS   = bin/crd-ref-docs-$(call tool_version,github.com/elastic/crd-ref-docs)
VALIDATE_KREW  = bin/validate-krew-manifest-$(call tool_version,sigs.k8s.io/krew)
GOVULNCHECK    = bin/govulncheck-$(call tool_version,golang.org/x/vuln)

# The race detector needs cgo and a C compiler.
CC_FOUND := $(shell $(GO) env CC | { read -r cc _; command -v "$$cc" 2>/dev/null || true; })
ifneq ($(CC_FOUND),)
RACE := -race
else
RACE :=
endif

##@ Build

.PHONY: build
build: ## Build bin/holdfast, and the plugin of kubectl: bin/kubectl-holdfast, bin/kubectl-outbox
	@mkdir -p bin
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o bin/holdfast ./cmd/holdfast
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o bin/kubectl-holdfast ./cmd/kubectl-holdfast
	@ln -sf kubectl-holdfast bin/kubectl-outbox
	@cp cmd/kubectl-holdfast/kubectl_complete-holdfast bin/

PLATFORMS ?= linux/amd64,linux/arm64,darwin/amd64,darwin/arm64,windows/amd64,windows/arm64

.PHONY: release-snapshot
release-snapshot: $(VALIDATE_KREW) ## Make what a version publishes in dist/: archives, checksums, SBOMs, image, krew manifest, notes; VERSION=v0.1.0 PLATFORMS=linux/amd64 PUSH=registry.example.com/holdfast
	rm -rf dist
	cd hack && GOWORK=off CGO_ENABLED=0 $(GO) run ./release -source .. -out ../dist -version '$(RELEASE_VERSION)' -time "$$(git log -1 --format=%ct)" -platforms '$(PLATFORMS)' -push '$(PUSH)'
	@if [ -e dist/holdfast.yaml ]; then $(VALIDATE_KREW) -skip-install -manifest dist/holdfast.yaml; fi
	@ls -l dist

.PHONY: generate
generate: $(CONTROLLER_GEN) ## Regenerate deep copies, CustomResourceDefinitions and the dashboard
	@GO='$(GO)' CONTROLLER_GEN='$(CURDIR)/$(CONTROLLER_GEN)' hack/generate

.PHONY: install.yaml
install.yaml: ## Write bin/install.yaml: what kubectl apply -f installs, with the image IMAGE
	@mkdir -p bin
	@GO='$(GO)' hack/install-yaml '$(or $(IMAGE),$(error IMAGE is not set: the image that you built, as in registry.example.com/holdfast:v0.1.0))' > bin/install.yaml
	@echo "wrote bin/install.yaml"

.PHONY: fmt
fmt: $(GOLANGCI_LINT) ## Format the sources
	$(GOLANGCI_LINT) fmt

.PHONY: clean
clean: ## Remove build output and .dev
	rm -rf bin coverage dist .dev

##@ Check

.PHONY: test
test: ## Run all tests on real servers (race detector: needs a C compiler), and print the coverage
ifeq ($(RACE),)
	@echo 'no C compiler ($(shell $(GO) env CC)) found: tests run without the race detector'
endif
	@command -v pgbouncer >/dev/null || test -x /usr/sbin/pgbouncer || echo 'pgbouncer not found: tests with a pooler are skipped (Debian: apt-get install pgbouncer)'
	@command -v python3 >/dev/null || echo 'python3 not found: the check of docs/entry.md with another program is skipped (Debian: apt-get install python3)'
	@command -v chromium >/dev/null || echo 'chromium not found: the pages are not tried in a browser (Debian: apt-get install chromium)'
	@{ command -v prometheus && command -v prometheus-alertmanager; } >/dev/null || echo 'prometheus, prometheus-alertmanager not found: rules, dashboard and gateway are not tried with them (Debian: apt-get install prometheus prometheus-alertmanager)'
	@hack/axe-core
	@mkdir -p coverage
	CGO_ENABLED=$(if $(RACE),1,0) $(GO) test $(RACE) -timeout 60m -coverprofile coverage/cover.out ./...
	@echo 'chart, install.yaml, check: test/install, without the race detector'
	cd test/install && GOWORK=off CGO_ENABLED=0 $(GO) test -timeout 20m ./...
	cd hack && GOWORK=off CGO_ENABLED=0 $(GO) test ./...
	@$(GO) tool cover -func coverage/cover.out | awk '$$1 == "total:" { print "statements covered: " $$3 }'

# Packages whose tests start no server, and link little.
SHORT := ./controllers/aianalysis/holmesgpt ./controllers/aianalysis/investigator ./controllers/workflowexecution/condition ./internal/catalogue \
  ./internal/credential ./internal/local/demo ./internal/operator ./internal/quantity ./internal/redact ./internal/scaffold ./models ./outbox/api ./storageclient ./test/fuzz

.PHONY: test-short
test-short: ## Run the tests that need no server, without the race detector
	CGO_ENABLED=0 $(GO) test -short -timeout 5m $(SHORT)

SEED ?= 0
RUNS ?= 200
STORE ?= both

.PHONY: chaos
chaos: ## Inject faults, and check with an independent oracle that no entry is lost; SEED=0 (random) RUNS=200 STORE=database|api|shards|failover|both|all|gateway FAULT=name; writes chaos.json
	$(GO) run ./test/chaos -seed $(SEED) -runs $(RUNS) -store $(STORE) -fault "$(FAULT)"

.PHONY: test-matrix
test-matrix: ## Run the libraries' tests with the oldest versions that they support and with the newest, and build an operator that embeds them
	@GO='$(GO)' RACE='$(RACE)' FLOOR_GO='$(FLOOR_GO)' hack/test-matrix

.PHONY: verify
verify: $(CONTROLLER_GEN) $(APIDIFF) ## Check that generated files, modules and formatting are up to date, that the libraries compile at their oldest versions, and their API against the last tag
	@CONTROLLER_GEN='$(CURDIR)/$(CONTROLLER_GEN)' APIDIFF='$(CURDIR)/$(APIDIFF)' GO='$(GO)' FLOOR_GO='$(FLOOR_GO)' hack/verify

.PHONY: lint
lint: $(GOLANGCI_LINT) $(ACTIONLINT) ## Run the linters, including kube-api-linter
	$(GOLANGCI_LINT) run ./...
	cd test/install && GOWORK=off ../../$(GOLANGCI_LINT) run --config ../../.golangci.yml ./...
	$(ACTIONLINT)

.PHONY: fuzz
fuzz: ## Run every fuzz target for FUZZTIME (default 30s)
	@GO='$(GO)' FUZZTIME='$(or $(FUZZTIME),30s)' hack/fuzz

.PHONY: backpressure
backpressure: ## Drain 5,000 resources after an outage of PostgreSQL, and print figures
	HOLDFAST_BACKPRESSURE=5000 $(GO) test -v -count=1 -timeout 30m ./test/backpressure

.PHONY: vulncheck
vulncheck: $(GOVULNCHECK) ## Check called code for known vulnerabilities; needs the network
	$(GOVULNCHECK) ./...

.PHONY: site
site: build $(CRD_REF_DOCS) ## Build the documentation as a site in dist/site, with a generated reference (needs npm)
	@CRD_REF_DOCS='$(CURDIR)/$(CRD_REF_DOCS)' hack/site

.PHONY: screenshots
screenshots: ## Take the pictures and examples of docs/reports.md anew (needs chromium)
	$(GO) test -count=1 ./test/browser -run TestScreenshots -v -args -docs '$(CURDIR)/docs'

.PHONY: docs-kubectl
docs-kubectl: ## Make the examples and the recorded session of docs/kubectl.md anew
	$(GO) test -count=1 ./internal/plugin -run 'TestDocs|TestTheTrail|TestTheWayToTheReportService' -args -docs '$(CURDIR)/docs'

##@ Measure

.PHONY: bench
bench: build ## Measure the cost of the audit trail on real servers; ONLY=overhead,latency selects measures, BENCH_FULL=1 takes longer
	@mkdir -p bin
	CGO_ENABLED=0 $(GO) build -o bin/bench ./test/bench
	bin/bench -only '$(ONLY)' -full=$(if $(BENCH_FULL),true,false) $(BENCH_FLAGS)

##@ Run

.PHONY: demo
demo: build ## Remediate failing workloads on a local cluster, and show each step
	bin/holdfast demo

.PHONY: dev
dev: build ## Run the same servers until Ctrl-C; .dev/env has the variables to use them
	bin/holdfast dev --state-dir .dev

##@ Help

.PHONY: help
help: ## Show this help
	@awk 'BEGIN { FS = ":.*## " } \
	  /^##@ / { printf "\n%s\n", substr($$0, 5) } \
	  /^[a-z.-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(CONTROLLER_GEN):
	@mkdir -p bin
	cd hack && GOWORK=off CGO_ENABLED=0 $(GO) build -o ../$@ sigs.k8s.io/controller-tools/cmd/controller-gen

$(GOLANGCI_LINT):
	@mkdir -p bin
	@echo 'building golangci-lint, which takes about two minutes the first time'
	cd hack && GOWORK=off CGO_ENABLED=0 $(GO) build -o ../$@ sigs.k8s.io/kube-api-linter/cmd/golangci-lint-kube-api-linter

$(APIDIFF):
	@mkdir -p bin
	cd hack && GOWORK=off CGO_ENABLED=0 $(GO) build -o ../$@ golang.org/x/exp/cmd/apidiff

$(ACTIONLINT):
	@mkdir -p bin
	cd hack && GOWORK=off CGO_ENABLED=0 $(GO) build -o ../$@ github.com/rhysd/actionlint/cmd/actionlint

$(CRD_REF_DOCS):
	@mkdir -p bin
	cd hack && GOWORK=off CGO_ENABLED=0 $(GO) build -o ../$@ github.com/elastic/crd-ref-docs

$(VALIDATE_KREW):
	@mkdir -p bin
	cd hack && GOWORK=off CGO_ENABLED=0 $(GO) build -o ../$@ sigs.k8s.io/krew/cmd/validate-krew-manifest

$(GOVULNCHECK):
	@mkdir -p bin
	cd hack && GOWORK=off CGO_ENABLED=0 $(GO) build -o ../$@ golang.org/x/vuln/cmd/govulncheck
