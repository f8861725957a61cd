package controller

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/admission"
)

// policyCheck is how often it is looked up whether the hold policy is in force, where it cannot be watched.
const policyCheck = time.Minute

var policyVersion = schema.GroupVersion{Group: "admissionregistration.k8s.io", Version: "v1"}

// policyKinds are what holds new revisions: the policy, and its binding.
var policyKinds = []string{"MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding"}

// policyWatch knows whether the API server holds new revisions itself.
type policyWatch struct {
	live    client.WithWatch
	list    client.Reader
	changed chan<- event.GenericEvent
	// elected is closed once this process is the one that acts.
	elected <-chan struct{}
	inForce atomic.Bool
}

// watchPolicy has looked once, so that its answer counts from the first. An error of the first look ends the process
// before anything acts on a wrong answer.
func watchPolicy(ctx context.Context, mgr manager.Manager, changed chan<- event.GenericEvent) (*policyWatch, error) {
	live, err := client.NewWithWatch(mgr.GetConfig(), client.Options{
		HTTPClient: mgr.GetHTTPClient(), Mapper: mgr.GetRESTMapper(),
	})
	if err != nil {
		return nil, fmt.Errorf("make the client for the hold policy: %w", err)
	}
	p := &policyWatch{live: live, list: mgr.GetClient(), changed: changed, elected: mgr.Elected()}
	return p, p.look(ctx)
}

// NeedLeaderElection has it run in every process, since a new leader must know at once.
func (p *policyWatch) NeedLeaderElection() bool { return false }

// Start looks again when the policy or its binding changes, and from time to time. It has all Rollouts looked at when
// the answer has changed.
func (p *policyWatch) Start(ctx context.Context) error {
	touched := make(chan struct{}, 1)
	for _, kind := range policyKinds {
		go p.watch(ctx, kind, touched)
	}
	tick := time.NewTicker(policyCheck)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-touched:
		}
		before := p.inForce.Load()
		if err := p.look(ctx); err != nil {
			ctrl.LoggerFrom(ctx).Error(err, "look for the hold policy")
			continue
		}
		if p.inForce.Load() != before {
			p.announce(ctx)
		}
	}
}

// watch tells of each change of one kind. Where it cannot be watched, as without the right, the ticks have to do.
func (p *policyWatch) watch(ctx context.Context, kind string, touched chan<- struct{}) {
	for ctx.Err() == nil {
		list := &unstructured.UnstructuredList{}
		list.SetGroupVersionKind(policyVersion.WithKind(kind + "List"))
		w, err := p.live.Watch(ctx, list, client.MatchingFields{"metadata.name": admission.HoldWorkload})
		if err == nil {
			began := time.Now()
			tell(touched) // What has changed before the watch began.
			for range w.ResultChan() {
				tell(touched)
			}
			w.Stop()
			if time.Since(began) > watchLasts {
				continue // The API server ends every watch at some time.
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(policyCheck):
		}
	}
}

// watchLasts is how long a watch lasts at least that was let through.
const watchLasts = time.Second

// tell has the policy looked at; that it is to be looked at anyhow is as good.
func tell(touched chan<- struct{}) {
	select {
	case touched <- struct{}{}:
	default:
	}
}

// look asks for the policy and its binding. Both have to be there: a policy without a binding is applied to nothing.
func (p *policyWatch) look(ctx context.Context) error {
	for _, kind := range policyKinds {
		u := &unstructured.Unstructured{}
		u.SetGroupVersionKind(policyVersion.WithKind(kind))
		err := p.live.Get(ctx, client.ObjectKey{Name: admission.HoldWorkload}, u)
		// A policy that may not be read counts as not in force. That is the safe side: workloads are then kept paused.
		if meta.IsNoMatchError(err) || apierrors.IsNotFound(err) || apierrors.IsForbidden(err) {
			p.inForce.Store(false)
			return nil
		}
		if err != nil {
			return fmt.Errorf("look for the hold policy: %w", err)
		}
	}
	p.inForce.Store(true)
	return nil
}

// announce has all Rollouts looked at, since each holds its workload in another way now.
func (p *policyWatch) announce(ctx context.Context) {
	select {
	case <-p.elected:
	default:
		return // Nobody listens; whoever is elected looks at everything first.
	}
	all := &v1alpha1.RolloutList{}
	if err := p.list.List(ctx, all); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "list Rollouts")
		return
	}
	for i := range all.Items {
		select {
		case p.changed <- event.GenericEvent{Object: &all.Items[i]}:
		case <-ctx.Done():
			return
		}
	}
}
