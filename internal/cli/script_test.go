package cli

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"github.com/sluice-dev/sluice/internal/registry"
)

var update = flag.Bool("update", false, "write what the commands print into the scripts and docs")

// testNow is the time in every script.
var testNow = time.Date(2026, 11, 20, 22, 15, 0, 0, time.UTC)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"sluice":                  testProgram,
		"kubectl-sluice":          testProgram,
		"kubectl_complete-sluice": testProgram,
	})
}

// testProgram is the program as the scripts run it: the real one but for the clock.
func testProgram() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	os.Exit(Run(ctx, testOptions(os.Args)))
}

func testOptions(args []string) Options {
	return Options{
		Args: args, In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Version: "v0.0.0-test",
		Now:    func() time.Time { return testNow },
		Layers: registry.Layers,
		Controller: func(_ context.Context, cfg *rest.Config, o ControllerOptions) error {
			fmt.Printf("as %s: %+v\n", cfg.Impersonate.UserName, o)
			return nil
		},
	}
}

// TestScripts runs testdata/script. Besides testscript's own commands they have
//
//	api FILE...                               starts an API server with these objects and writes a kubeconfig
//	answer VERB OUTCOME REASON MESSAGE [FILE] has decisions of this verb answered so, and what is in FILE come of it
//	forbid VERB RESOURCE                      has requests refused
//	absent RESOURCE...                        has the API server not know these kinds
//	decisions FILE                            writes the decisions that were made to a file
//	exits CODE COMMAND...                     runs a command and checks its exit code
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:           filepath.Join("testdata", "script"),
		UpdateScripts: *update,
		Setup: func(e *testscript.Env) error {
			objects, err := filepath.Abs(filepath.Join("testdata", "objects"))
			e.Setenv("OBJECTS", objects)
			e.Setenv("KUBECONFIG", filepath.Join(e.WorkDir, "none"))
			e.Setenv("HOME", e.WorkDir)
			return err
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"api": startScriptAPI, "answer": setAnswer, "forbid": setForbidden, "absent": setAbsent,
			"decisions": writeDecisions, "exits": exits,
		},
	})
}

// apis of the running scripts, by their work directory.
var (
	apisLock sync.Mutex
	apis     = map[string]*fakeAPI{}
)

func startScriptAPI(ts *testscript.TestScript, _ bool, files []string) {
	a := newFakeAPI()
	ts.Defer(func() {
		a.CloseClientConnections()
		a.Close()
	})
	for _, f := range files {
		data, err := os.ReadFile(ts.MkAbs(f))
		ts.Check(err)
		ts.Check(a.load(data))
	}
	config, err := a.kubeconfig(ts.Getenv("WORK"))
	ts.Check(err)
	ts.Setenv("KUBECONFIG", config)
	ts.Setenv("API", a.URL)
	apisLock.Lock()
	defer apisLock.Unlock()
	apis[ts.Getenv("WORK")] = a
}

func apiOf(ts *testscript.TestScript) *fakeAPI {
	apisLock.Lock()
	defer apisLock.Unlock()
	a := apis[ts.Getenv("WORK")]
	if a == nil {
		ts.Fatalf("start one with `api` first")
	}
	return a
}

func setAnswer(ts *testscript.TestScript, _ bool, args []string) {
	a := apiOf(ts)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.answers[args[0]] = map[string]any{"outcome": args[1], "reason": args[2], "message": args[3]}
	if len(args) > 4 {
		u := &unstructured.Unstructured{}
		ts.Check(yaml.Unmarshal([]byte(ts.ReadFile(args[4])), &u.Object))
		u.SetNamespace("demo")
		a.follows[args[0]] = u
	}
}

func setForbidden(ts *testscript.TestScript, _ bool, args []string) {
	a := apiOf(ts)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.forbidden = append(a.forbidden, args[0]+" "+args[1])
}

func setAbsent(ts *testscript.TestScript, _ bool, args []string) {
	a := apiOf(ts)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.absent = append(a.absent, args...)
}

func writeDecisions(ts *testscript.TestScript, _ bool, args []string) {
	a := apiOf(ts)
	a.mu.Lock()
	defer a.mu.Unlock()
	var b strings.Builder
	for _, e := range a.events {
		if e.kind != "ADDED" || e.object.GetKind() != "Decision" {
			continue
		}
		fmt.Fprintf(&b, "%s", e.object.GetGenerateName())
		for _, f := range []string{"verb", "release", "before", "step", "toStep", "planDigest", "user", "comment"} {
			if v, ok, _ := unstructured.NestedFieldNoCopy(e.object.Object, "spec", f); ok {
				fmt.Fprintf(&b, " %s=%v", f, v)
			}
		}
		b.WriteString("\n")
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(b.String()), 0o600))
}

// exits runs a command; only a code of 0 is a success to testscript, so any other is checked here.
func exits(ts *testscript.TestScript, _ bool, args []string) {
	err := ts.Exec(args[1], args[2:]...)
	code := 0
	if err != nil {
		_, after, found := strings.Cut(err.Error(), "exit status ")
		if !found {
			ts.Fatalf("%v", err)
		}
		_, serr := fmt.Sscan(after, &code)
		ts.Check(serr)
	}
	if fmt.Sprint(code) != args[0] {
		ts.Fatalf("exit code %d, want %s", code, args[0])
	}
}
