package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
)

// sentence puts an error as a sentence that names the thing and the remedy. The first that knows the error speaks.
// sayDenied comes before sayForbidden: an admission policy of ours answers 403 too, and a role is no remedy for it.
func sentence(err error) string {
	for _, say := range []func(error) string{
		sayNoConfig, sayUnreachable, sayNotInstalled, sayDenied, sayForbidden, sayUnauthorized,
	} {
		if s := say(err); s != "" {
			return s
		}
	}
	return err.Error()
}

// status is what the API server answered, if the error is its.
func status(err error) *metav1.Status {
	var s apierrors.APIStatus
	if !errors.As(err, &s) {
		return nil
	}
	answer := s.Status()
	return &answer
}

func sayNoConfig(err error) string {
	if !clientcmd.IsEmptyConfig(err) {
		return ""
	}
	return "no cluster is configured: name a kubeconfig file by --kubeconfig or KUBECONFIG"
}

// sayUnreachable drops the path and the query of the request: which cluster does not answer is what helps. An
// interrupt by the user ends a request in the same way, and is not the cluster's fault.
func sayUnreachable(err error) string {
	u, ok := errors.AsType[*url.Error](err)
	if !ok || errors.Is(err, context.Canceled) {
		return ""
	}
	cause := u.Err
	if op, isNet := errors.AsType[*net.OpError](err); isNet {
		cause = op.Err
	}
	host := u.URL
	if parsed, perr := url.Parse(u.URL); perr == nil {
		host = parsed.Scheme + "://" + parsed.Host
	}
	return fmt.Sprintf("the API server at %s does not answer: %v; check that the cluster is up, and --context", host,
		cause)
}

// sayNotInstalled tells a kind that the cluster does not know from an object that it does not have. Both are 404. For
// a path that it does not serve, the API server sends no Status object, and client-go makes one up with this cause
// and text.
func sayNotInstalled(err error) string {
	s := status(err)
	if s == nil || !apierrors.IsNotFound(err) {
		return ""
	}
	if !apierrors.HasStatusCause(err, "UnexpectedServerResponse") &&
		!strings.Contains(s.Message, "could not find the requested resource") {
		return ""
	}
	return "the cluster does not know Sluice's kinds (sluice.dev/v1alpha1): install them with `sluice install`"
}

// sayDenied keeps what an admission policy says, and drops the wrapping.
func sayDenied(err error) string {
	s := status(err)
	if s == nil {
		return ""
	}
	_, said, found := strings.Cut(s.Message, " denied request: ")
	if !found {
		return ""
	}
	return said
}

func sayForbidden(err error) string {
	s := status(err)
	if s == nil || !apierrors.IsForbidden(err) {
		return ""
	}
	return s.Message + "; ask for a role that may (Sluice brings sluice-viewer, sluice-releaser, sluice-approver and " +
		"sluice-admin)"
}

func sayUnauthorized(err error) string {
	if !apierrors.IsUnauthorized(err) {
		return ""
	}
	return "the API server does not know you (401 Unauthorized): sign in again, or check the credentials of the " +
		"kubeconfig's user"
}
