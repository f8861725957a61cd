package metrictest

import (
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/metric"
)

// Now is when all measurements are taken.
var Now = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)

// words stand in what servers write; none may come through in an error.
const words = "WORDS-OF-THE-SERVER"

// Secrets are those of the namespace, by name and key.
type Secrets map[string]map[string]string

// Read is the Secret function of a Query.
func (s Secrets) Read(name, key string) (string, error) {
	v, ok := s[name][key]
	if !ok {
		return "", metric.ErrNoKey
	}
	return v, nil
}

// Kit is a source, and what the law cannot know of it.
type Kit struct {
	Source metric.Source
	// Provider asks the server at the address. Sources without a connection are given nil.
	Provider func(address string, c *v1alpha1.Connection) v1alpha1.MetricProvider
	// Connection says that the source has one.
	Connection bool
	// Secrets that the provider names by itself.
	Secrets Secrets
	// Good answers with the value Want.
	Good http.HandlerFunc
	Want any
}

// Answers is a handler that says always the same.
func Answers(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body)) // who hung up has been told enough
	}
}

// Egress lets the hosts on this machine be asked.
func Egress(t *testing.T, hosts ...string) *metric.Egress {
	t.Helper()
	e, err := metric.NewEgress(metric.EgressOptions{Hosts: hosts, AllowLoopback: true})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// Query asks the address, which may be asked.
func (k Kit) Query(t *testing.T, address string, c *v1alpha1.Connection, more Secrets) metric.Query {
	t.Helper()
	all := Secrets{}
	for _, s := range []Secrets{k.Secrets, more} {
		for name, keys := range s {
			all[name] = keys
		}
	}
	return metric.Query{
		Metric: "errors", Provider: k.Provider(address, c), Now: Now, Secret: all.Read, Egress: Egress(t, "127.0.0.1"),
		Context: map[string]string{"release": "web-1"},
	}
}

// Measure asks a server that answers by the handler. What comes back is looked through for secrets.
func (k Kit) Measure(t *testing.T, h http.HandlerFunc) (metric.Result, error) {
	t.Helper()
	s := httptest.NewServer(h)
	defer s.Close()
	return k.ask(t, k.Query(t, s.URL, nil, nil))
}

func (k Kit) ask(t *testing.T, q metric.Query) (metric.Result, error) {
	t.Helper()
	r, err := k.Source.Measure(t.Context(), q)
	k.clean(t, r, err, nil)
	return r, err
}

// clean checks that no secret is in what people will read, and none of the server's words in an error.
func (k Kit) clean(t *testing.T, r metric.Result, err error, more Secrets) {
	t.Helper()
	texts := metric.Text(r.Value) + r.Note
	if err != nil {
		texts += err.Error()
		if strings.Contains(err.Error(), words) {
			t.Errorf("the error has the server's words: %v", err)
		}
		if len(err.Error()) > metric.MaxText {
			t.Errorf("the error is %d bytes long", len(err.Error()))
		}
	}
	for _, secrets := range []Secrets{k.Secrets, more} {
		for name, keys := range secrets {
			for key, v := range keys {
				if strings.Contains(texts, v) || strings.Contains(texts, base64.StdEncoding.EncodeToString([]byte(v))) {
					t.Errorf("the content of Secret %s, key %s, shows in %q", name, key, texts)
				}
			}
		}
	}
}
