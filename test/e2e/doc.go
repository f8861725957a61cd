// Package e2e tries whole releases on a real API server, with real pods and real requests: 200 a second from the
// first moment of each test to the last, of which none may fail.
//
// Tests are named after their case: `go test ./test/e2e -run TestCase1`. Each has a namespace and a host of its own,
// so that they run side by side. Without further word the suite starts a playground and a controller of its own.
// On another cluster, in which Sluice is installed:
//
//	SLUICE_E2E_KUBECONFIG   the administrator's kubeconfig
//	SLUICE_E2E_GATEWAY      URL of the gateway that serves Ingresses and HTTPRoutes
//	SLUICE_E2E_GATEWAY_REF  namespace/name of the Gateway for HTTPRoutes (default default/playground)
//	SLUICE_E2E_RATE         requests a second of each test (default 200; must be given for a gateway elsewhere than
//	                        on this machine)
//	SLUICE_E2E_SETTLE       spec.traffic[].ingress.settle of the tests (default 2s, for the playground's gateway; 7s elsewhere)
//	SLUICE_BINARY           the sluice to test (default: built from this tree)
//
// Tests that need a controller of a special kind start a playground for themselves and are skipped elsewhere.
package e2e
