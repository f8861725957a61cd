package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
	"sigs.k8s.io/yaml"
)

// output is the flag -o of one command.
type output struct {
	format  string
	allowed []string
}

// bind declares -o with the formats that the command has.
func (o *output) bind(c *cobra.Command, allowed ...string) {
	o.allowed = allowed
	c.Flags().StringVarP(&o.format, "output", "o", "", "Output format: "+strings.Join(allowed, ", "))
	// It fails only for a flag that is not declared.
	_ = c.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(allowed, cobra.ShellCompDirectiveNoFileComp))
}

func (o *output) check() error {
	if o.format == "" || slices.Contains(o.allowed, o.format) {
		return nil
	}
	return fmt.Errorf("-o %s: this command has %s", o.format, strings.Join(o.allowed, ", "))
}

// machine says that the output is for programs. "wide" is for people.
func (o *output) machine() bool {
	return o.format == "json" || o.format == "yaml" || o.format == "name"
}

// print writes an API object or list in a format for programs, as kubectl would.
func (o *output) print(w io.Writer, s *runtime.Scheme, obj runtime.Object) error {
	if err := setKinds(s, obj); err != nil {
		return err
	}
	if o.format == "name" {
		return printNames(w, obj)
	}
	return o.encode(w, obj)
}

// encode writes any value as JSON or YAML. YAML is made from the JSON, so that both have the same field names. The
// indent is kubectl's.
func (o *output) encode(w io.Writer, v any) error {
	raw, err := json.MarshalIndent(v, "", "    ")
	if err != nil {
		return fmt.Errorf("write JSON: %w", err)
	}
	if o.format == "yaml" {
		if raw, err = yaml.JSONToYAML(raw); err != nil {
			return fmt.Errorf("write YAML: %w", err)
		}
	} else {
		raw = append(raw, '\n')
	}
	_, err = w.Write(raw)
	return err
}

// setKinds fills in apiVersion and kind, which typed reads leave out, and drops managedFields as kubectl does.
func setKinds(s *runtime.Scheme, obj runtime.Object) error {
	gvk, err := apiutil.GVKForObject(obj, s)
	if err != nil {
		return fmt.Errorf("tell the kind of %T: %w", obj, err)
	}
	obj.GetObjectKind().SetGroupVersionKind(gvk)
	if o, ok := obj.(client.Object); ok {
		o.SetManagedFields(nil)
	}
	if !meta.IsListType(obj) {
		return nil
	}
	return meta.EachListItem(obj, func(item runtime.Object) error { return setKinds(s, item) })
}

// printNames prints what kubectl does, as "rollout.sluice.dev/shop". A Rollout's or a release's is a NAME for all
// commands.
func printNames(w io.Writer, obj runtime.Object) error {
	if meta.IsListType(obj) {
		return meta.EachListItem(obj, func(item runtime.Object) error { return printNames(w, item) })
	}
	gvk := obj.GetObjectKind().GroupVersionKind()
	_, err := fmt.Fprintf(w, "%s.%s/%s\n", strings.ToLower(gvk.Kind), gvk.Group, obj.(client.Object).GetName())
	return err
}
