package controller

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/kube/clock"
)

func store(t *testing.T, objects ...client.Object) client.WithWatch {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	return fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).Build()
}

// TestTime: what the manager's connection hears of the API server's clock is the time that all go by.
func TestTime(t *testing.T) {
	ahead := time.Now().Add(time.Hour)
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Date", ahead.UTC().Format(http.TimeFormat))
		w.WriteHeader(http.StatusNotFound)
	}))
	t.Cleanup(api.Close)
	var told []string
	now := clock.Machine(func(what string, _ time.Duration) { told = append(told, what) })
	if off := time.Until(now.Now()); off.Abs() > time.Minute {
		t.Errorf("%v off before any response", off)
	}
	if _, err := newManager(&rest.Config{Host: api.URL}, Options{}, now); err == nil {
		t.Error("a manager of what is no cluster") // It has asked all the same.
	}
	if off := now.Now().Sub(ahead); off.Abs() > time.Minute {
		t.Errorf("%v off the API server's clock", off)
	}
	if want := []string{clock.MachineOff}; !slices.Equal(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
}
