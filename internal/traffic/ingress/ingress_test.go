package ingress_test

import (
	"testing"

	"github.com/sluice-dev/sluice/internal/traffic"
	"github.com/sluice-dev/sluice/internal/traffic/ingress"
	"github.com/sluice-dev/sluice/internal/traffic/traffictest"
)

func TestTranscripts(t *testing.T) {
	traffictest.Run(t, layer(), "testdata")
}

func layer() traffictest.Layer {
	return traffictest.Layer{New: func(name string) traffic.Provider { return ingress.New(name, "") }, Inspect: inspect}
}
