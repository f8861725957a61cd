// Command sluice is the whole of Sluice in one program: the user's commands, and the controller. Under the name
// kubectl-sluice it is a kubectl plugin. Only this package knows all rooms, to wire them.
package main

import (
	"context"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/sluice-dev/sluice/internal/cli"
	"github.com/sluice-dev/sluice/internal/registry"
)

// version is set by the linker in releases.
var version = ""

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := cli.Run(ctx, cli.Options{
		Args: os.Args, In: os.Stdin, Out: os.Stdout, Err: os.Stderr,
		Version: programVersion(), Now: time.Now,
		Layers: registry.Layers, Controller: runController,
	})
	stop()
	os.Exit(code)
}

// programVersion is the linker's, or else what the go command knows of the build.
func programVersion() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}
