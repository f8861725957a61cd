package arch

// level is what a room may reach of the world outside, also through others.
type level struct {
	// says it in a table.
	says string
	// never lists what the room must not reach. Names ending in "/" are whole trees.
	never []string
	// direct lists what the room must not import itself: of the standard library others may reach it.
	direct []string
}

var (
	// pure rooms know no cluster and do no I/O.
	pure = level{"nothing: no Kubernetes, no I/O", []string{"k8s.io/", "sigs.k8s.io/", "net/http", "os/exec"}, []string{"os", "net", "context", "log", "log/slog"}}
	// timed is pure but for the API server's clock, which it reads from HTTP headers.
	timed = level{"nothing but HTTP headers", []string{"k8s.io/", "sigs.k8s.io/", "os/exec"}, []string{"os", "net"}}
	// types of Kubernetes, and nothing that calls it.
	types = level{"apimachinery", []string{"k8s.io/client-go/", "k8s.io/api/", "sigs.k8s.io/controller-runtime/"}, nil}
	// objects of Kubernetes, and nothing that calls it.
	objects = level{"Kubernetes' types", []string{"k8s.io/client-go/", "sigs.k8s.io/controller-runtime/"}, []string{"net/http", "os/exec"}}
	// shown is made of objects alone: it reads nothing.
	shown = level{"Kubernetes' types, no I/O", []string{"k8s.io/client-go/", "sigs.k8s.io/controller-runtime/"}, []string{
		"context", "io", "log", "log/slog", "net", "net/http", "os", "os/exec",
	}}
	// service rooms call a service of their own, and never the API server.
	service = level{"a service of its own, never the API server", []string{
		"sigs.k8s.io/controller-runtime/", "k8s.io/client-go/rest", "k8s.io/client-go/kubernetes/",
	}, nil}
	anything = level{"anything", nil, nil}
)

// room is a package, or with "/*" each package below a folder, and what it may import.
type room struct {
	path string
	// ours are the rooms of ours that it may import; "/*" stands for all packages below, "*" for all rooms.
	ours  []string
	world level
}

// rooms are all rooms of the house. What is not in a row is forbidden. Of two rows that fit the longer one counts.
var rooms = []room{
	{"api/*", nil, types},
	{"deploy", nil, objects},
	{"internal/release", nil, pure},
	{"internal/analysis", nil, pure},
	{"internal/podtemplate", nil, pure},
	{"internal/naming", nil, pure},
	{"internal/beside", nil, pure},
	{"internal/kube/clock", nil, timed},
	{"internal/window", []string{"api/*"}, objects},
	{"internal/traffic", []string{"internal/release"}, objects},
	{"internal/traffic/*", []string{"internal/release", "internal/traffic", "internal/naming", "internal/beside"}, objects},
	{"internal/workload", []string{"api/*", "internal/release", "internal/podtemplate"}, objects},
	{"internal/workload/*", []string{"api/*", "internal/release", "internal/naming", "internal/podtemplate", "internal/workload"}, objects},
	{"internal/metric", []string{"api/*"}, service},
	{"internal/metric/*", []string{"api/*", "internal/metric"}, service},
	{"internal/notify", nil, service},
	{"internal/notify/*", []string{"internal/notify"}, service},
	{"internal/translate", []string{"api/*", "internal/naming", "internal/release", "internal/traffic"}, objects},
	{"internal/view", []string{"api/*", "internal/release", "internal/translate", "internal/traffic"}, shown},
	{"internal/measure", []string{"api/*", "internal/metric", "internal/metric/*", "internal/naming"}, service},
	{"internal/preflight", []string{"api/*", "internal/window", "internal/workload/*"}, objects},
	{"internal/registry", []string{
		"api/*", "internal/translate", "internal/traffic", "internal/traffic/*", "internal/metric", "internal/metric/*", "internal/notify", "internal/notify/*", "internal/workload", "internal/workload/*",
	}, service},
	{"internal/admission", []string{"deploy"}, anything},
	{"internal/kube", []string{"internal/kube/*"}, anything},
	{"internal/kube/*", []string{"api/*", "deploy", "internal/admission"}, anything},
	{"internal/controller", []string{"*"}, anything},
	{"internal/controller/loop", []string{"internal/kube"}, anything},
	{"internal/controller/*", []string{
		"api/*", "deploy", "internal/controller/loop", "internal/analysis", "internal/beside", "internal/kube", "internal/measure", "internal/metric", "internal/metric/*",
		"internal/naming", "internal/notify", "internal/podtemplate", "internal/preflight", "internal/registry", "internal/release",
		"internal/traffic", "internal/translate", "internal/window", "internal/workload",
	}, anything},
	{"internal/cli", []string{
		"api/*", "deploy", "internal/cli/*", "internal/kube/*", "internal/measure", "internal/naming", "internal/podtemplate", "internal/preflight",
		"internal/release", "internal/traffic", "internal/translate", "internal/view",
	}, anything},
	{"internal/cli/*", []string{
		"api/*", "deploy", "internal/measure", "internal/notify", "internal/preflight", "internal/release", "internal/traffic", "internal/translate", "internal/window",
	}, anything},
	{"internal/arch", nil, anything},
	{"cmd/*", []string{"*"}, anything},
	{"docs", nil, anything},
	{"bench", []string{"api/*"}, anything},
	{"test/sim", []string{"internal/release", "internal/kube/clock"}, timed},
	{"test/*", []string{"api/*"}, anything},
}
