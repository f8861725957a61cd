package controlplane

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
)

const (
	fieldManager = "sluice-playground"
	pollInterval = 25 * time.Millisecond
	// checkTimeout bounds one question to an API server that may not answer yet.
	checkTimeout = 5 * time.Second
)

// resourceNames saves a discovery for the few kinds that are installed.
var resourceNames = map[string]string{
	"CustomResourceDefinition": "customresourcedefinitions",
	"Gateway":                  "gateways",
	"GatewayClass":             "gatewayclasses",
	"IngressClass":             "ingressclasses",
}

//go:embed crds/*.yaml
var crds embed.FS

//go:embed manifests/defaults.yaml
var defaults []byte

// awaitReady waits until the API server calls itself ready; its error tells what was missing.
func awaitReady(ctx context.Context, config *rest.Config) error {
	httpClient, err := rest.HTTPClientFor(config)
	if err != nil {
		return fmt.Errorf("make client: %w", err)
	}
	httpClient.Timeout = checkTimeout
	last := errors.New("it was not asked")
	err = wait.PollUntilContextCancel(ctx, pollInterval, true, func(ctx context.Context) (bool, error) {
		last = askReady(ctx, httpClient, config.Host)
		return last == nil, nil
	})
	if err != nil {
		return fmt.Errorf("wait for the API server to be ready: %w: %w", err, last)
	}
	return nil
}

func askReady(ctx context.Context, httpClient *http.Client, host string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, host+"/readyz?verbose", nil)
	if err != nil {
		return fmt.Errorf("make request: %w", err)
	}
	response, err := httpClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("it lacks %s", missingChecks(string(body)))
	}
	return nil
}

// missingChecks picks the failing lines, which begin with "[-]", out of /readyz?verbose.
func missingChecks(body string) string {
	var missing []string
	for line := range strings.Lines(body) {
		if name, ok := strings.CutPrefix(line, "[-]"); ok {
			missing = append(missing, strings.Fields(name)[0])
		}
	}
	if len(missing) == 0 {
		return strings.TrimSpace(body)
	}
	return strings.Join(missing, ", ")
}

// install applies the kinds and objects that every playground has. Applying them again changes nothing.
func install(ctx context.Context, config *rest.Config) error {
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("make client: %w", err)
	}
	if err := installCRDs(ctx, client); err != nil {
		return err
	}
	objects, err := decode(defaults)
	if err != nil {
		return fmt.Errorf("decode default objects: %w", err)
	}
	return each(objects, func(o *unstructured.Unstructured) error { return apply(ctx, client, o) })
}

func installCRDs(ctx context.Context, client dynamic.Interface) error {
	entries, err := crds.ReadDir("crds")
	if err != nil {
		return fmt.Errorf("list CRDs: %w", err)
	}
	return each(entries, func(e fs.DirEntry) error {
		data, err := crds.ReadFile("crds/" + e.Name())
		if err != nil {
			return fmt.Errorf("read CRD: %w", err)
		}
		objects, err := decode(data)
		if err != nil {
			return fmt.Errorf("decode %s: %w", e.Name(), err)
		}
		for _, o := range objects {
			if err := apply(ctx, client, o); err != nil {
				return err
			}
			if err := awaitEstablished(ctx, client, o.GetName()); err != nil {
				return err
			}
		}
		return nil
	})
}

// each does the work for all items side by side.
func each[T any](items []T, work func(T) error) error {
	var group sync.WaitGroup
	errs := make([]error, len(items))
	for i, item := range items {
		group.Go(func() { errs[i] = work(item) })
	}
	group.Wait()
	return errors.Join(errs...)
}

func decode(data []byte) ([]*unstructured.Unstructured, error) {
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(data), 4096)
	var objects []*unstructured.Unstructured
	for {
		o := &unstructured.Unstructured{}
		err := decoder.Decode(o)
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return nil, err
		}
		if len(o.Object) > 0 {
			objects = append(objects, o)
		}
	}
}

// apply is patient with kinds and namespaces that are about to appear, and with a server that settles.
func apply(ctx context.Context, client dynamic.Interface, o *unstructured.Unstructured) error {
	gvk := o.GroupVersionKind()
	resource := client.Resource(gvk.GroupVersion().WithResource(resourceNames[gvk.Kind]))
	var target dynamic.ResourceInterface = resource
	if namespace := o.GetNamespace(); namespace != "" {
		target = resource.Namespace(namespace)
	}
	var last error
	err := wait.PollUntilContextCancel(ctx, pollInterval, true, func(ctx context.Context) (bool, error) {
		_, last = target.Apply(ctx, o.GetName(), o, metav1.ApplyOptions{FieldManager: fieldManager, Force: true})
		if last == nil || transient(last) {
			return last == nil, nil
		}
		return false, last
	})
	if err != nil {
		return fmt.Errorf("apply %s %s: %w", o.GetKind(), o.GetName(), errors.Join(err, last))
	}
	return nil
}

func transient(err error) bool {
	return apierrors.IsNotFound(err) || apierrors.IsConflict(err) || apierrors.IsServiceUnavailable(err) ||
		apierrors.IsTooManyRequests(err) || apierrors.IsServerTimeout(err) || apierrors.IsTimeout(err)
}

func awaitEstablished(ctx context.Context, client dynamic.Interface, name string) error {
	resource := schema.GroupVersionResource{
		Group: "apiextensions.k8s.io", Version: "v1",
		Resource: "customresourcedefinitions",
	}
	err := wait.PollUntilContextCancel(ctx, pollInterval, true, func(ctx context.Context) (bool, error) {
		crd, err := client.Resource(resource).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return false, ignoreTransient(err)
		}
		return established(crd), nil
	})
	if err != nil {
		return fmt.Errorf("wait for CRD %s to be established: %w", name, err)
	}
	return nil
}

func established(crd *unstructured.Unstructured) bool {
	conditions, _, _ := unstructured.NestedSlice(crd.Object, "status", "conditions")
	for _, c := range conditions {
		if c, ok := c.(map[string]any); ok && c["type"] == "Established" && c["status"] == "True" {
			return true
		}
	}
	return false
}

func ignoreTransient(err error) error {
	if transient(err) {
		return nil
	}
	return err
}

// awaitControllers waits for a sign of life of the controller manager without which no pod can be
// made: the default namespace's service account, which one of its controllers creates.
func awaitControllers(ctx context.Context, config *rest.Config) error {
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("make client: %w", err)
	}
	resource := schema.GroupVersionResource{Version: "v1", Resource: "serviceaccounts"}
	err = wait.PollUntilContextCancel(ctx, pollInterval, true, func(ctx context.Context) (bool, error) {
		_, err := client.Resource(resource).Namespace(metav1.NamespaceDefault).Get(ctx, "default", metav1.GetOptions{})
		return err == nil, ignoreTransient(err)
	})
	if err != nil {
		return fmt.Errorf("wait for service account default/default, which the controllers make: %w", err)
	}
	return nil
}
