package ingress

import (
	"fmt"
	"regexp"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/sluice-dev/sluice/internal/traffic"
)

// classAnnotation names the class of an Ingress without spec.ingressClassName.
const classAnnotation = "kubernetes.io/ingress.class"

// byNginx is what spec.traffic[].ingress.controller says of a controller that reads ingress-nginx's annotations.
const byNginx = "nginx"

// readers are the controllers that read ingress-nginx's canary annotations, by spec.controller of their IngressClass.
var readers = map[string]bool{
	"k8s.io/ingress-nginx": true,
	// Azure's application routing add-on is a managed ingress-nginx.
	"webapprouting.kubernetes.azure.com/nginx": true,
	// Higress takes them over, see its documentation of "Ingress Nginx compatibility".
	"higress.io/higress-controller": true,
}

// further installations of ingress-nginx in one cluster have names of their own (--controller-class); its documentation
// calls them like this.
var further = regexp.MustCompile(`^k8s\.io/([a-z0-9-]+-)?ingress-nginx(-[a-z0-9-]+)?$`)

func reads(controller string) bool { return readers[controller] || further.MatchString(controller) }

// Class is the name of the class that the team's Ingress is of; empty if it names none.
func (p Provider) Class(w traffic.World) string {
	if route := p.view(w).route; route != nil {
		return className(route)
	}
	return ""
}

func className(route *unstructured.Unstructured) string {
	// ingress-nginx looks at the annotation first.
	if name := route.GetAnnotations()[classAnnotation]; name != "" {
		return name
	}
	name, _ := spec(route)["ingressClassName"].(string)
	return name
}

// checkClass refuses an Ingress of a controller that would not heed a canary Ingress: it would send its requests to
// nobody knows where, or to stable for ever.
func (p Provider) checkClass(v view) error {
	c := v.Class
	if c == nil || p.controller == byNginx {
		return nil
	}
	what, known := "", false
	switch {
	case c.Name == "":
		what = "names no class, so that it is not known which controller reads it: set spec.ingressClassName of the Ingress"
	case c.Unreadable:
		known = strings.Contains(c.Name, "nginx")
		what = fmt.Sprintf("is of class %s, which Sluice has no right to look up: give its ServiceAccount the right to "+
			"get ingressclasses", c.Name)
	case c.Controller == "":
		known = c.Name == "nginx" && v.route.GetAnnotations()[classAnnotation] == c.Name // Needs no IngressClass.
		what = fmt.Sprintf("is of class %s, and there is no IngressClass of that name: create it, or correct the name",
			c.Name)
	default:
		known = reads(c.Controller)
		what = fmt.Sprintf("is of class %s, whose controller %s is not known to read ingress-nginx's canary annotations: "+
			"name an HTTPRoute instead", c.Name, c.Controller)
	}
	if known {
		return nil
	}
	return fmt.Errorf("spec.traffic[].ingress: Ingress %s %s, or, if that controller does read the annotations "+
		"nginx.ingress.kubernetes.io/canary*, set spec.traffic[].ingress.controller to nginx",
		v.route.GetName(), what)
}

// sticky says whether sessions stay where they are by a cookie. ingress-nginx' cookie names the Service.
func sticky(route *unstructured.Unstructured) bool {
	return route != nil && route.GetAnnotations()[prefix+"affinity"] != ""
}
