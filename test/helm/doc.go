// Package helm releases a chart with Helm 3 and Helm 4, as libraries, before, during and after a release: on a real API
// server, with real pods and real requests of which none may fail. Helm 4 applies on the server's side and never
// forces, so a field that Sluice owned would be a conflict.
//
// It is a module of its own because the two Helms bring much with them that Sluice does not need. The chart is
// testdata/shop. `make helm` runs the tests; SLUICE_BINARY names the sluice to test, if it is not bin/sluice, and
// SLUICE_PLAYGROUND the playground.
package helm
