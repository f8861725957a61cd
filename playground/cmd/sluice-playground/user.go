package main

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/sluice-dev/sluice/playground/internal/controlplane"
)

func userCommand() *cobra.Command {
	var dir string
	var groups []string
	c := &cobra.Command{
		Use:   "user NAME --dir DIR [--group GROUP]...",
		Short: "Print a kubeconfig for a person of your making",
		Long: `Print a kubeconfig with a client certificate for NAME, a member of the groups given.

The person has no rights but those that RBAC gives: bind a Role to the name or to a group.`,
		Example: `  sluice-playground user alice --group sre --dir ~/playground > alice.kubeconfig
  sluice-playground kubectl --kubeconfig alice.kubeconfig auth whoami`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if dir == "" {
				return errors.New("--dir is missing: name the playground's directory")
			}
			data, err := controlplane.UserKubeconfig(dir, args[0], groups)
			if err != nil {
				return err
			}
			_, err = c.OutOrStdout().Write(data)
			return err
		},
	}
	c.Flags().StringVar(&dir, "dir", "", "directory of the playground (required)")
	c.Flags().StringArrayVar(&groups, "group", nil, "group that the person belongs to; may be repeated")
	return c
}
