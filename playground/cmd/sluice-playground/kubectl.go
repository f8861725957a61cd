package main

import (
	"os"

	"github.com/spf13/cobra"
	"k8s.io/component-base/cli"
	"k8s.io/component-base/logs"
	"k8s.io/kubectl/pkg/cmd"
	"k8s.io/kubectl/pkg/cmd/util"

	"github.com/sluice-dev/sluice/playground/internal/controlplane/component"
)

// kubectl is the real one; it reads os.Args itself, to find plugins and the verbosity.
func kubectl(args []string) int {
	os.Args = append([]string{"kubectl"}, args...)
	_ = component.ReportVersion() // a binary without build information shows kubectl's placeholder
	_, _ = logs.GlogSetter(cmd.GetLogVerbosity(os.Args))
	if err := cli.RunNoErrOutput(cmd.NewDefaultKubectlCommand()); err != nil {
		util.CheckErr(err)
		return 1
	}
	return 0
}

// kubectlCommand is here for the help only: main hands over to kubectl before flags are parsed.
func kubectlCommand() *cobra.Command {
	return &cobra.Command{
		Use: "kubectl [command]",
		Short: "The real kubectl, so that none need be installed (also under the name kubectl, by a link to " +
			"this binary)",
		DisableFlagParsing: true,
		RunE: func(_ *cobra.Command, args []string) error {
			os.Exit(kubectl(args))
			return nil
		},
	}
}
