package component

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// Argument is the hidden first argument of a process that is to be a component:
// `sluice-playground component kube-apiserver --secure-port=...`.
const Argument = "component"

// runners holds how each component is started. A runner is called at most once in a process.
var runners = map[string]func(args []string) int{
	"etcd":                    runEtcd,
	"kube-apiserver":          runAPIServer,
	"kube-controller-manager": runControllerManager,
	"kube-scheduler":          runScheduler,
}

// Main becomes a component and never returns, if the process was started as one; otherwise it does
// nothing. Call it first thing in main and in TestMain.
func Main() {
	if len(os.Args) < 3 || os.Args[1] != Argument {
		return
	}
	os.Exit(run(os.Args[2], os.Args[3:]))
}

func run(name string, args []string) int {
	runner, ok := runners[name]
	if !ok {
		names := make([]string, 0, len(runners))
		for n := range runners {
			names = append(names, n)
		}
		slices.Sort(names)
		fmt.Fprintf(os.Stderr, "unknown component %q: want one of %s\n", name, strings.Join(names, ", "))
		return 2
	}
	go endWithParent(os.Stdin, os.Exit)
	if err := ReportVersion(); err != nil {
		fmt.Fprintf(os.Stderr, "set version: %v\n", err)
		return 2
	}
	return runner(args)
}

// endWithParent ends this process when the other end of its standard input is closed. The playground
// keeps that end open for as long as it lives, so that no component outlives it, however it ends:
// the system closes the pipe of a killed process too.
func endWithParent(stdin io.Reader, exit func(int)) {
	_, _ = io.Copy(io.Discard, stdin)
	fmt.Fprintln(os.Stderr, "the playground that started this process is gone: ending too")
	exit(1)
}
