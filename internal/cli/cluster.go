package cli

import (
	"fmt"
	"time"

	"github.com/spf13/pflag"
	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/translate"
)

// cluster is how a command reaches the API server: as the user, by kubectl's flags. Nothing is read before a
// command asks.
type cluster struct {
	rules     *clientcmd.ClientConfigLoadingRules
	overrides *clientcmd.ConfigOverrides
	userAgent string
	layers    translate.LayerKinds
}

func newCluster(userAgent string, layers translate.LayerKinds) *cluster {
	return &cluster{
		rules:     clientcmd.NewDefaultClientConfigLoadingRules(),
		overrides: &clientcmd.ConfigOverrides{},
		userAgent: userAgent,
		layers:    layers,
	}
}

// bind declares kubectl's flags.
func (c *cluster) bind(fs *pflag.FlagSet) {
	fs.StringVar(&c.rules.ExplicitPath, clientcmd.RecommendedConfigPathFlag, "",
		"Path to the kubeconfig file to use for CLI requests")
	names := clientcmd.RecommendedConfigOverrideFlags("")
	// The API server has had no sign-in by password since Kubernetes 1.19; a flag without a name is not declared.
	names.AuthOverrideFlags.Username = clientcmd.FlagInfo{}
	names.AuthOverrideFlags.Password = clientcmd.FlagInfo{}
	names.ClusterOverrideFlags.APIServer.ShortName = "s"
	clientcmd.BindOverrideFlags(c.overrides, fs, names)
}

// loader reads the kubeconfig only when it is asked, after the flags have been read. It never prompts: a command in a
// pipeline would hang.
func (c *cluster) loader() clientcmd.ClientConfig {
	return clientcmd.NewNonInteractiveDeferredLoadingClientConfig(c.rules, c.overrides)
}

// namespace that the flags, the kubeconfig's context or the service account name. Without any kubeconfig it is the
// default one and no error, since `plan -f` works without a cluster; whoever needs the cluster is told by connect.
func (c *cluster) namespace() (string, error) {
	ns, _, err := c.loader().Namespace()
	if clientcmd.IsEmptyConfig(err) && c.overrides.Context.Namespace == "" {
		return metav1.NamespaceDefault, nil
	}
	if clientcmd.IsEmptyConfig(err) {
		return c.overrides.Context.Namespace, nil
	}
	if err != nil {
		return "", fmt.Errorf("read the kubeconfig: %w", err)
	}
	return ns, nil
}

func (c *cluster) config() (*rest.Config, error) {
	cfg, err := c.loader().ClientConfig()
	if err != nil {
		return nil, err
	}
	cfg.UserAgent = c.userAgent
	// No limit in the client: its default of a few requests a second would slow `plan` and `pending`, which ask many
	// small questions. The API server's own priority and fairness bounds what one user may ask for.
	cfg.QPS = -1
	return cfg, nil
}

// connect makes the client. Its kinds are fixed, so that no command costs a round of discovery.
func (c *cluster) connect() (client.WithWatch, error) {
	cfg, err := c.config()
	if err != nil {
		return nil, err
	}
	w, err := client.NewWithWatch(cfg, client.Options{Scheme: newScheme(), Mapper: newMapper(c.layers)})
	if err != nil {
		return nil, fmt.Errorf("make a client: %w", err)
	}
	return w, nil
}

// newScheme has the kinds that the commands read as Go types. The objects of traffic layers are read unstructured,
// since a typed object loses the fields that it does not know.
func newScheme() *runtime.Scheme {
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		v1alpha1.AddToScheme, appsv1.AddToScheme, corev1.AddToScheme, networkingv1.AddToScheme, discoveryv1.AddToScheme,
		authenticationv1.AddToScheme,
		authorizationv1.AddToScheme,
	} {
		if err := add(s); err != nil { // Only two types for one kind can bring this about.
			panic(err)
		}
	}
	return s
}

// newMapper knows the kinds that the commands read. The cache behind a live display asks for the lists' kinds too.
func newMapper(layers translate.LayerKinds) meta.RESTMapper {
	m := meta.NewDefaultRESTMapper(nil)
	for _, kind := range layers.Objects() {
		m.Add(kind, meta.RESTScopeNamespace)
	}
	for gv, kinds := range map[schema.GroupVersion][]string{
		v1alpha1.GroupVersion: {
			"Rollout", "Release", "Hold", "Decision", "AnalysisRun", "AnalysisTemplate", "ReleaseWindow",
		},
		appsv1.SchemeGroupVersion:      {"Deployment", "ReplicaSet"},
		corev1.SchemeGroupVersion:      {"Pod", "Service"},
		discoveryv1.SchemeGroupVersion: {"EndpointSlice"},
	} {
		for _, k := range kinds {
			m.Add(gv.WithKind(k), meta.RESTScopeNamespace)
			m.Add(gv.WithKind(k+"List"), meta.RESTScopeNamespace)
		}
	}
	m.Add(v1alpha1.GroupVersion.WithKind("ClusterAnalysisTemplate"), meta.RESTScopeRoot)
	m.Add(networkingv1.SchemeGroupVersion.WithKind("IngressClass"), meta.RESTScopeRoot)
	m.Add(authenticationv1.SchemeGroupVersion.WithKind("SelfSubjectReview"), meta.RESTScopeRoot)
	m.Add(authorizationv1.SchemeGroupVersion.WithKind("SelfSubjectAccessReview"), meta.RESTScopeRoot)
	return m
}

// clock is the time as the commands see it.
type clock func() time.Time

func (c clock) since(t *metav1.Time) time.Duration { return c().Sub(t.Time) }
