// Command sluice-playground runs a Kubernetes cluster for trying things out: a real API server with its
// controllers, nodes whose pods are servers in this process, and a gateway; no root, no containers.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/sluice-dev/sluice/playground/internal/controlplane/component"
)

func main() {
	component.Main()
	if filepath.Base(os.Args[0]) == "kubectl" {
		os.Exit(kubectl(os.Args[1:]))
	}
	if len(os.Args) > 1 && os.Args[1] == "kubectl" {
		os.Exit(kubectl(os.Args[2:]))
	}
	os.Exit(run())
}

// run executes the command line; the first signal ends the context, a second one the process.
func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	err := rootCommand().ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		fmt.Fprintln(os.Stderr, "sluice-playground: interrupted before it was ready; everything is stopped")
		return 130
	}
	fmt.Fprintf(os.Stderr, "sluice-playground: %v\n", err)
	return 1
}

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "sluice-playground",
		Short:         "A Kubernetes cluster for trying things out, in one binary, without root and without containers",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(upCommand(), userCommand(), kubectlCommand(), versionCommand())
	return root
}
