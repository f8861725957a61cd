package workloadtest

import (
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// Shop is a Deployment as a team has it.
const Shop = `
apiVersion: apps/v1
kind: Deployment
metadata:
  name: shop
  namespace: demo
  uid: d-1
  annotations:
    kubectl.kubernetes.io/last-applied-configuration: '{"a":"long","story":true}'
    team.example.com/owner: web
  managedFields: [{manager: kubectl}]
spec:
  replicas: 4
  minReadySeconds: 7
  selector: {matchLabels: {app: shop}}
  template:
    metadata: {labels: {app: shop, tier: front}, creationTimestamp: null}
    spec:
      futureField: {deep: [1, two, {three: 3}]}
      initContainers: [{name: prepare, image: "prepare:1"}]
      containers:
      - name: web
        image: "shop:v1"
        envFrom: [{configMapRef: {name: env}}, {secretRef: {name: keys}}]
        env: [{name: A, valueFrom: {secretKeyRef: {name: one, key: k}}}, {name: B, valueFrom: {configMapKeyRef: {name: two, key: k}}}]
      - {name: side, image: "side:3"}
      volumes: [{name: v, configMap: {name: files}}, {name: w, secret: {secretName: cert}}, {name: x, projected: {sources: [{secret: {name: deep}}]}}]
`

// Object reads a manifest as the API server's client does.
func Object(t *testing.T, manifest string) *unstructured.Unstructured {
	t.Helper()
	u := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(manifest), &u.Object); err != nil {
		t.Fatal(err)
	}
	raw, err := u.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	out := &unstructured.Unstructured{}
	if err := out.UnmarshalJSON(raw); err != nil {
		t.Fatal(err)
	}
	return out
}

// Set is an edit of one field.
func Set(value any, path ...string) func(*unstructured.Unstructured) {
	return func(u *unstructured.Unstructured) { _ = unstructured.SetNestedField(u.Object, value, path...) }
}
