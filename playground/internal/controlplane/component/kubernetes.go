package component

import (
	"github.com/spf13/cobra"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/metrics/prometheus/clientgo" // client-go's metrics on the components' /metrics
	_ "k8s.io/component-base/metrics/prometheus/version"  // the version metric
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"

	_ "time/tzdata" // CronJob time zones on a system without a zone database
)

func runAPIServer(args []string) int { return execute(apiserver.NewAPIServerCommand(), args) }
func runControllerManager(args []string) int {
	return execute(controllermanager.NewControllerManagerCommand(), args)
}
func runScheduler(args []string) int { return execute(scheduler.NewSchedulerCommand(), args) }

func execute(command *cobra.Command, args []string) int {
	command.SetArgs(args)
	return cli.Run(command)
}
