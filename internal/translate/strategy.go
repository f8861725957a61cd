package translate

import "fmt"

// TwoAtOnce is the sentence that refuses a Deployment which asks that two of its revisions never run at once.
func TwoAtOnce(name string) string {
	return fmt.Sprintf("the Deployment %q has spec.strategy.type Recreate, so two of its revisions must never run at once, "+
		"but a release runs the new one beside the old: set spec.strategy.type to RollingUpdate if two may run at once, "+
		"or delete the Rollout", name)
}
