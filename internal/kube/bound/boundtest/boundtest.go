// Package boundtest checks objects of Sluice's kinds against their CRDs as the API server does. It is for tests only.
package boundtest

import (
	"fmt"
	"sync"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structural "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/json"

	"github.com/sluice-dev/sluice/deploy"
)

// kind is what the API server knows of one of the kinds.
type kind struct {
	validator validation.SchemaValidator
	schema    *structural.Structural
}

var kinds = sync.OnceValues(func() (map[string]kind, error) {
	crds, err := deploy.CRDs()
	if err != nil {
		return nil, err
	}
	out := map[string]kind{}
	for _, u := range crds {
		crd := &apiextensionsv1.CustomResourceDefinition{}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, crd); err != nil {
			return nil, fmt.Errorf("read the CRD %s: %w", u.GetName(), err)
		}
		props := &apiextensions.JSONSchemaProps{}
		convert := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps
		if err := convert(crd.Spec.Versions[0].Schema.OpenAPIV3Schema, props, nil); err != nil {
			return nil, fmt.Errorf("read the CRD %s: %w", u.GetName(), err)
		}
		validator, _, err := validation.NewSchemaValidator(props)
		if err != nil {
			return nil, fmt.Errorf("read the CRD %s: %w", u.GetName(), err)
		}
		s, err := structural.NewStructural(props)
		if err != nil {
			return nil, fmt.Errorf("read the CRD %s: %w", u.GetName(), err)
		}
		out[crd.Spec.Names.Kind] = kind{validator, s}
	}
	return out, nil
})

// Check says what the API server would find wrong with an object of one of Sluice's kinds; other kinds are not known.
// CEL rules are not looked at.
func Check(kindName string, object any) error {
	all, err := kinds()
	if err != nil {
		return err
	}
	k, known := all[kindName]
	if !known {
		return nil
	}
	raw, err := json.Marshal(object)
	if err != nil {
		return fmt.Errorf("write the %s down: %w", kindName, err)
	}
	var u map[string]any
	if err := json.Unmarshal(raw, &u); err != nil {
		return fmt.Errorf("read the %s: %w", kindName, err)
	}
	errs := validation.ValidateCustomResource(nil, u, k.validator)
	errs = append(errs, listtype.ValidateListSetsAndMaps(nil, k.schema, u)...)
	return errs.ToAggregate()
}
