# Two commands do everything: `make demo` shows a gray release, `make test` runs all that CI runs.
# Everything is built here; nothing is installed, and no cluster is needed.

SHELL       := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
export CGO_ENABLED := 0

VERSION    ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS    := -s -w -X main.version=$(VERSION)
TOOL       := go tool -modfile=tools/go.mod
GO_FILES   := $(shell find api cmd internal deploy -name '*.go' -not -name '*_test.go' 2>/dev/null)
PLAYGROUND := $(shell find playground -name '*.go' -not -name '*_test.go' 2>/dev/null)

.PHONY: help
help: ## Show what can be made.
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 18

# --- Use it

.PHONY: demo
demo: build ## A gray release on real traffic, live. AUTO=1 plays it and checks it; SCENE=bad shows bad versions caught.
	@bin/sluice-demo $(if $(AUTO),--auto) $(if $(SCENE),--scene $(SCENE))

.PHONY: build
build: bin/sluice bin/sluice-playground bin/sluice-demo ## Build the binaries into bin/.

bin/sluice: go.mod go.sum $(GO_FILES) $(shell find deploy -name '*.yaml')
	@echo "building $@ (the first time takes about five minutes)"
	@go build -ldflags '$(LDFLAGS)' -o $@ ./cmd/sluice
	@ln -sf sluice bin/kubectl-sluice

bin/sluice-demo: go.mod go.sum $(shell find test/demo -name '*.go' 2>/dev/null)
	@go build -o $@ ./test/demo

bin/sluice-playground: playground/go.mod playground/go.sum $(PLAYGROUND)
	@echo "building $@: a real Kubernetes control plane (the first time takes about ten minutes)"
	@cd playground && go build -ldflags '-s -w' -o ../$@ ./cmd/sluice-playground

# --- Check it

.PHONY: test
test: check unit e2e helm ## All that CI runs.

.PHONY: check
check: generated tidy lint ## Generated files, go.mod files, lint and import walls.

.PHONY: unit
unit: bin/sluice-playground ## Tests of all packages but the end-to-end ones; the simulation is among them.
	@go test -timeout 25m $$(go list ./... | grep -v /test/e2e)
	@cd playground && go test -timeout 25m ./...

.PHONY: sim
sim: ## The simulation alone: exhaustive faults, a million random actions, mutants.
	@go test -count=1 -v ./test/sim

.PHONY: e2e
e2e: build ## End to end on real traffic; KUBECONFIG=... GATEWAY=http://... runs it on another cluster.
	@SLUICE_E2E_KUBECONFIG='$(if $(GATEWAY),$(KUBECONFIG))' SLUICE_E2E_GATEWAY='$(GATEWAY)' \
		go test -count=1 -timeout 25m ./test/e2e

.PHONY: helm
helm: build ## Helm 3 and Helm 4 before, during and after a release.
	@cd test/helm && go test -count=1 -timeout 15m ./...

.PHONY: bench
bench: build ## Figures, one a line: name value unit. docs/performance.md explains them.
	@go run ./bench

.PHONY: lint
lint: bin/golangci-lint
	@bin/golangci-lint run ./...
	@cd playground && ../bin/golangci-lint run --config ../.golangci.yml ./...
	@cd test/helm && ../../bin/golangci-lint run --config ../../.golangci.yml ./...

bin/golangci-lint: tools/lint/go.mod
	@echo "building $@ (the first time takes some minutes)"
	@cd tools/lint && go build -o ../../$@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint

.PHONY: tidy
tidy:
	@go mod tidy -diff
	@cd playground && go mod tidy -diff
	@cd test/helm && go mod tidy -diff

# --- Generate it

.PHONY: generate
generate: ## Deep copies and CRDs from api/, the command reference from the commands.
	@$(TOOL) controller-gen object:headerFile=/dev/null paths=./api/... crd output:crd:dir=deploy/crds
	@go test ./internal/cli -run TestDocs -update >/dev/null

.PHONY: generated
generated: ## Fail if a generated file is not what its source says.
	@rm -rf .generated && mkdir -p .generated
	@$(TOOL) controller-gen object:headerFile=/dev/null paths=./api/... output:object:dir=.generated crd output:crd:dir=.generated
	@for f in deploy/crds/*.yaml; do diff -u $$f .generated/$$(basename $$f); done || { echo "run: make generate"; exit 1; }
	@diff -u api/v1alpha1/zz_generated.deepcopy.go .generated/zz_generated.deepcopy.go || { echo "run: make generate"; exit 1; }
	@rm -rf .generated

.PHONY: clean
clean: ## Remove what was built.
	@rm -rf bin .generated
