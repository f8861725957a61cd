package node

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
)

func from(s corev1.EnvVarSource) *corev1.EnvVarSource { return &s }

func field(path string) *corev1.EnvVarSource {
	return from(corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: path}})
}

func mapKey(name, key string, may bool) *corev1.EnvVarSource {
	return from(corev1.EnvVarSource{ConfigMapKeyRef: &corev1.ConfigMapKeySelector{
		LocalObjectReference: corev1.LocalObjectReference{Name: name}, Key: key, Optional: &may,
	}})
}

func secretKey(name, key string) *corev1.EnvVarSource {
	return from(corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{
		LocalObjectReference: corev1.LocalObjectReference{Name: name}, Key: key,
	}})
}

func allOf(configMap, secret, prefix string, may bool) corev1.EnvFromSource {
	s := corev1.EnvFromSource{Prefix: prefix}
	if configMap != "" {
		s.ConfigMapRef = &corev1.ConfigMapEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: configMap}, Optional: &may}
	}
	if secret != "" {
		s.SecretRef = &corev1.SecretEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: secret}, Optional: &may}
	}
	return s
}

func TestEnvironment(t *testing.T) {
	client := fake.NewClientset(
		&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: "conf"}, Data: map[string]string{"COLOR": "red", "A": "1"}},
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: "key"}, Data: map[string][]byte{"TOKEN": []byte("s3cret")}},
	)
	for name, tc := range map[string]struct {
		env     []corev1.EnvVar
		envFrom []corev1.EnvFromSource
		want    map[string]string
		err     string
	}{
		"plain, and one of another": {
			env:  []corev1.EnvVar{{Name: "A", Value: "1"}, {Name: "B", Value: "$(A)-$(C)-$$(A)"}},
			want: map[string]string{"A": "1", "B": "1-$(C)-$(A)"},
		},
		"downward": {
			env: []corev1.EnvVar{
				{Name: "NAME", ValueFrom: field("metadata.name")},
				{Name: "NS", ValueFrom: field("metadata.namespace")},
				{Name: "APP", ValueFrom: field("metadata.labels['app']")},
				{Name: "LABELS", ValueFrom: field("metadata.labels")},
				{Name: "NOTE", ValueFrom: field("metadata.annotations['note']")},
				{Name: "IP", ValueFrom: field("status.podIP")},
				{Name: "NODE", ValueFrom: field("spec.nodeName")},
			},
			want: map[string]string{
				"NAME": "shop-1", "NS": "demo", "APP": "shop", "LABELS": `app="shop"`, "NOTE": "hi",
				"IP": "198.18.0.1", "NODE": "n1",
			},
		},
		"keys": {
			env: []corev1.EnvVar{
				{Name: "C", ValueFrom: mapKey("conf", "COLOR", false)},
				{Name: "T", ValueFrom: secretKey("key", "TOKEN")},
				{Name: "X", ValueFrom: mapKey("none", "X", true)},
				{Name: "Y", ValueFrom: mapKey("conf", "Y", true)},
			},
			want: map[string]string{"C": "red", "T": "s3cret"},
		},
		"whole maps; env wins": {
			env:     []corev1.EnvVar{{Name: "A", Value: "2"}},
			envFrom: []corev1.EnvFromSource{allOf("conf", "", "", false), allOf("", "key", "K_", false), allOf("none", "", "", true)},
			want:    map[string]string{"COLOR": "red", "A": "2", "K_TOKEN": "s3cret"},
		},
		"no such configmap":         {env: []corev1.EnvVar{{Name: "C", ValueFrom: mapKey("none", "X", false)}}, err: `configmap "none" not found`},
		"no such key":               {env: []corev1.EnvVar{{Name: "C", ValueFrom: mapKey("conf", "X", false)}}, err: "couldn't find key X in ConfigMap demo/conf"},
		"no such secret":            {env: []corev1.EnvVar{{Name: "C", ValueFrom: secretKey("none", "X")}}, err: `secret "none" not found`},
		"no such secret, all of it": {envFrom: []corev1.EnvFromSource{allOf("", "none", "", false)}, err: `secret "none" not found`},
	} {
		t.Run(name, func(t *testing.T) {
			pod := plainPod(func(p *corev1.Pod) {
				p.Labels, p.Annotations = map[string]string{"app": "shop"}, map[string]string{"note": "hi"}
				p.Spec.NodeName = "n1"
				p.Spec.Containers[0].Env, p.Spec.Containers[0].EnvFrom = tc.env, tc.envFrom
			})
			found := environment{}
			if needsLookup(pod, &pod.Spec.Containers[0]) {
				var err error
				if found, err = lookUpIn(t.Context(), client, pod, &pod.Spec.Containers[0]); err != nil {
					t.Fatal(err)
				}
			}
			got, err := makeEnvironment(pod, &pod.Spec.Containers[0], "198.18.0.1", found)
			if tc.err != "" {
				if err == nil || err.Error() != tc.err {
					t.Fatalf("error %v, want %q", err, tc.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			tc.want["HOSTNAME"] = "shop-1"
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestArgumentsAreExpanded(t *testing.T) {
	got := expand([]string{"--url=http://$(HOST)/", "$(NONE)"}, map[string]string{"HOST": "shop"})
	if diff := cmp.Diff([]string{"--url=http://shop/", "$(NONE)"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestStatusPatchLeavesOthersFieldsAlone(t *testing.T) {
	patch, err := statusPatch("u1", &corev1.PodStatus{
		Phase: corev1.PodRunning, PodIP: "198.18.0.1", HostIP: hostIP,
		Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}},
	})
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Metadata map[string]any
		Status   map[string]any
	}
	if err := json.Unmarshal(patch, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]any{"uid": "u1"}, got.Metadata); diff != "" {
		t.Error(diff)
	}
	for _, other := range []string{"qosClass", "nominatedNodeName", "resize"} {
		if _, there := got.Status[other]; there {
			t.Errorf("the patch sets %s, which is not the node's", other)
		}
	}
	if v, there := got.Status["reason"]; !there || v != nil {
		t.Errorf("an empty reason is %v, want null: an old one would stay", v)
	}
	want := []any{map[string]any{"ip": "198.18.0.1"}, map[string]any{"$patch": "replace"}}
	if diff := cmp.Diff(want, got.Status["podIPs"]); diff != "" {
		t.Error(diff)
	}
}
