package node

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/kubernetes/pkg/fieldpath"
	"k8s.io/kubernetes/third_party/forked/golang/expansion"
)

// environment is what a container's variables were found to refer to. A nil map says
// that the ConfigMap or Secret does not exist.
type environment struct {
	configMaps, secrets map[string]map[string]string
}

// mountError says that a volume's source is missing: the pod waits for it.
type mountError struct{ volume, kind, name string }

func (e *mountError) Error() string {
	return fmt.Sprintf("MountVolume.SetUp failed for volume %q : %s %q not found", e.volume, e.kind, e.name)
}

func asMountError(err error, target **mountError) bool { return errors.As(err, target) }

// needsLookup tells whether the container cannot start without asking the API server.
func needsLookup(pod *corev1.Pod, c *corev1.Container) bool {
	return len(c.EnvFrom) > 0 || slices.ContainsFunc(c.Env, func(e corev1.EnvVar) bool {
		return e.ValueFrom != nil && (e.ValueFrom.ConfigMapKeyRef != nil || e.ValueFrom.SecretKeyRef != nil)
	}) || slices.ContainsFunc(pod.Spec.Volumes, func(v corev1.Volume) bool {
		return v.ConfigMap != nil || v.Secret != nil
	})
}

// lookUpIn reads the ConfigMaps and Secrets that a container's variables name, and
// sees to it that those named by volumes exist.
func lookUpIn(ctx context.Context, client kubernetes.Interface, pod *corev1.Pod, c *corev1.Container) (
	environment, error,
) {
	found := environment{configMaps: map[string]map[string]string{}, secrets: map[string]map[string]string{}}
	configMaps, secrets := references(c)
	for _, v := range pod.Spec.Volumes {
		if v.ConfigMap != nil {
			configMaps = append(configMaps, v.ConfigMap.Name)
		}
		if v.Secret != nil {
			secrets = append(secrets, v.Secret.SecretName)
		}
	}
	for _, name := range configMaps {
		m, err := client.CoreV1().ConfigMaps(pod.Namespace).Get(ctx, name, metav1.GetOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			return found, fmt.Errorf("get configmap %q: %w", name, err)
		}
		if err == nil {
			found.configMaps[name] = textOf(m.Data, m.BinaryData)
		}
	}
	for _, name := range secrets {
		s, err := client.CoreV1().Secrets(pod.Namespace).Get(ctx, name, metav1.GetOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			return found, fmt.Errorf("get secret %q: %w", name, err)
		}
		if err == nil {
			found.secrets[name] = textOf(nil, s.Data)
		}
	}
	return found, mountable(pod, found)
}

func textOf(text map[string]string, binary map[string][]byte) map[string]string {
	all := make(map[string]string, len(text)+len(binary))
	maps.Copy(all, text)
	for k, v := range binary {
		all[k] = string(v)
	}
	return all
}

func references(c *corev1.Container) (configMaps, secrets []string) {
	for _, e := range c.EnvFrom {
		if e.ConfigMapRef != nil {
			configMaps = append(configMaps, e.ConfigMapRef.Name)
		}
		if e.SecretRef != nil {
			secrets = append(secrets, e.SecretRef.Name)
		}
	}
	for _, e := range c.Env {
		if e.ValueFrom == nil {
			continue
		}
		if r := e.ValueFrom.ConfigMapKeyRef; r != nil {
			configMaps = append(configMaps, r.Name)
		}
		if r := e.ValueFrom.SecretKeyRef; r != nil {
			secrets = append(secrets, r.Name)
		}
	}
	return configMaps, secrets
}

func mountable(pod *corev1.Pod, found environment) error {
	for _, v := range pod.Spec.Volumes {
		if m := v.ConfigMap; m != nil && found.configMaps[m.Name] == nil && !optional(m.Optional) {
			return &mountError{v.Name, "configmap", m.Name}
		}
		if s := v.Secret; s != nil && found.secrets[s.SecretName] == nil && !optional(s.Optional) {
			return &mountError{v.Name, "secret", s.SecretName}
		}
	}
	return nil
}

func optional(b *bool) bool { return b != nil && *b }

// makeEnvironment makes a container's variables; an error is what the kubelet shows as
// CreateContainerConfigError.
func makeEnvironment(pod *corev1.Pod, c *corev1.Container, ip string, found environment) (map[string]string, error) {
	env := map[string]string{"HOSTNAME": pod.Name}
	for _, from := range c.EnvFrom {
		if err := importAll(env, pod.Namespace, from, found); err != nil {
			return nil, err
		}
	}
	for _, e := range c.Env {
		value, set, err := valueOf(pod, c, ip, &e, env, found)
		if err != nil {
			return nil, err
		}
		if set {
			env[e.Name] = value
		}
	}
	return env, nil
}

func importAll(env map[string]string, namespace string, from corev1.EnvFromSource, found environment) error {
	kind, name, values, may := "", "", map[string]string(nil), (*bool)(nil)
	switch {
	case from.ConfigMapRef != nil:
		kind, name, may = "configmap", from.ConfigMapRef.Name, from.ConfigMapRef.Optional
		values = found.configMaps[name]
	case from.SecretRef != nil:
		kind, name, may = "secret", from.SecretRef.Name, from.SecretRef.Optional
		values = found.secrets[name]
	default:
		return nil
	}
	if values == nil && !optional(may) {
		return fmt.Errorf("%s %q not found", kind, name)
	}
	for k, v := range values {
		env[from.Prefix+k] = v
	}
	return nil
}

// valueOf resolves one variable. set is false for an optional source that is missing.
func valueOf(pod *corev1.Pod, c *corev1.Container, ip string, e *corev1.EnvVar, env map[string]string,
	found environment,
) (value string, set bool, err error) {
	from := e.ValueFrom
	switch {
	case from == nil:
		return expansion.Expand(e.Value, expansion.MappingFuncFor(env)), true, nil
	case from.FieldRef != nil:
		value, err = fieldOf(pod, ip, from.FieldRef.FieldPath)
		return value, err == nil, err
	case from.ResourceFieldRef != nil:
		return resourceOf(c, from.ResourceFieldRef.Resource), true, nil
	case from.ConfigMapKeyRef != nil:
		r := from.ConfigMapKeyRef
		return keyOf("configmap", "ConfigMap", pod.Namespace, r.Name, r.Key, found.configMaps[r.Name], r.Optional)
	case from.SecretKeyRef != nil:
		r := from.SecretKeyRef
		return keyOf("secret", "Secret", pod.Namespace, r.Name, r.Key, found.secrets[r.Name], r.Optional)
	default:
		return "", false, fmt.Errorf("variable %s: this kind of valueFrom is not supported by the playground's nodes", e.Name)
	}
}

func keyOf(kind, title, namespace, name, key string, values map[string]string, may *bool) (string, bool, error) {
	value, ok := values[key]
	switch {
	case ok:
		return value, true, nil
	case optional(may):
		return "", false, nil
	case values == nil:
		return "", false, fmt.Errorf("%s %q not found", kind, name)
	default:
		return "", false, fmt.Errorf("couldn't find key %s in %s %s/%s", key, title, namespace, name)
	}
}

// fieldOf is the downward API.
func fieldOf(pod *corev1.Pod, ip, path string) (string, error) {
	switch path {
	case "spec.nodeName":
		return pod.Spec.NodeName, nil
	case "spec.serviceAccountName":
		return pod.Spec.ServiceAccountName, nil
	case "status.hostIP", "status.hostIPs":
		return hostIP, nil
	case "status.podIP", "status.podIPs":
		return ip, nil
	}
	return fieldpath.ExtractFieldPathAsString(pod, path)
}

// resourceOf tells what was asked for; 0 when nothing was. The node enforces none of it.
func resourceOf(c *corev1.Container, resource string) string {
	kind, name, _ := strings.Cut(resource, ".")
	list := c.Resources.Limits
	if kind == "requests" {
		list = c.Resources.Requests
	}
	q := list[corev1.ResourceName(name)]
	return fmt.Sprint(q.Value())
}

// expand fills $(NAME) in arguments.
func expand(args []string, env map[string]string) []string {
	out := make([]string, len(args))
	for i, a := range args {
		out[i] = expansion.Expand(a, expansion.MappingFuncFor(env))
	}
	return out
}
