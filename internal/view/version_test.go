package view

import (
	"strings"
	"testing"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// TestFaultB22WhatDiffers: two revisions of the same image are told apart.
func TestFaultB22WhatDiffers(t *testing.T) {
	revision := func(image, hash string) v1alpha1.Revision {
		return v1alpha1.Revision{
			Hash: hash + strings.Repeat("0", 54), PodTemplateHash: hash,
			Images: []v1alpha1.ContainerImage{{Container: "web", Image: image}},
		}
	}
	stable := revision("shop:green", "5b8f")
	if got := Beside(revision("shop:blue", "77aa"), &stable); got != "shop:blue" {
		t.Errorf("other images: %q", got)
	}
	want := "shop:green with the pod template 77aa (the stable one has the same images and the pod template 5b8f)"
	if got := Beside(revision("shop:green", "77aa"), &stable); got != want {
		t.Errorf("the same images: %q", got)
	}
}
