package ingress_test

import (
	"testing"

	"github.com/sluice-dev/sluice/internal/traffic/ingress"
	"github.com/sluice-dev/sluice/internal/traffic/traffictest"
)

func TestTranscripts(t *testing.T) {
	traffictest.Run(t, traffictest.Layer{Provider: ingress.New(), Inspect: inspect}, "testdata")
}
