package notify

import (
	"context"
	"errors"
	"fmt"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/deploy"
	"github.com/sluice-dev/sluice/internal/notify"
	"github.com/sluice-dev/sluice/internal/registry"
)

// sink is what a Notifier names, made when there is something to send. After a message that did not arrive, and when
// the Notifier has changed, it is made anew, with its Secrets read again.
type sink struct {
	make func(context.Context, v1alpha1.NotifierSink) (notify.Sink, error)
	// tried is told what came of each attempt.
	tried func(error)

	mu   sync.Mutex
	spec v1alpha1.NotifierSink
	made notify.Sink
}

// change takes the sink of another spec; the one that was made is dropped.
func (s *sink) change(spec v1alpha1.NotifierSink) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.spec, s.made = spec, nil
}

// ready is the sink, made if need be.
func (s *sink) ready(ctx context.Context) (notify.Sink, error) {
	s.mu.Lock()
	made, spec := s.made, s.spec
	s.mu.Unlock()
	if made != nil {
		return made, nil
	}
	// Without the lock: to make a sink takes reading its Secrets, and change must not wait for the API server.
	made, err := s.make(ctx, spec)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.spec == spec { // Otherwise it has changed meanwhile.
		s.made = made
	}
	return made, nil
}

// check makes the sink if it is not made, so that a Secret that is missing is told before there is a message.
func (s *sink) check(ctx context.Context) {
	if _, err := s.ready(ctx); ctx.Err() == nil {
		s.tried(err)
	}
}

// Send makes the sink if need be, and has it send.
func (s *sink) Send(ctx context.Context, m notify.Message) error {
	made, err := s.ready(ctx)
	if err == nil {
		err = made.Send(ctx, m)
	}
	if err != nil {
		s.mu.Lock()
		s.made = nil
		s.mu.Unlock()
	}
	if !errors.Is(err, context.Canceled) { // That is no word about the sink.
		s.tried(err)
	}
	return err
}

// sinkOf makes the sinks of a namespace's Notifiers.
func (r *Reconciler) sinkOf(namespace string) func(context.Context, v1alpha1.NotifierSink) (notify.Sink, error) {
	return func(ctx context.Context, spec v1alpha1.NotifierSink) (notify.Sink, error) {
		return registry.Notify(spec, registry.NotifyWorld{
			Client: r.client, Dial: r.egress.Dial, Secret: r.secrets(ctx, namespace), Now: r.Calendar,
		})
	}
}

// secrets reads Secrets of a namespace. They are in no cache.
func (r *Reconciler) secrets(ctx context.Context, namespace string) func(name, key string) (string, error) {
	return func(name, key string) (string, error) {
		s := &corev1.Secret{}
		err := r.Kube.Live.Get(ctx, types.NamespacedName{Namespace: namespace, Name: name}, s)
		switch {
		case apierrors.IsNotFound(err):
			return "", fmt.Errorf("it is not in namespace %s; create it, or correct spec.sink", namespace)
		case apierrors.IsForbidden(err):
			return "", errors.New(deploy.LetReadSecrets(namespace))
		case errors.Is(err, context.DeadlineExceeded):
			return "", errors.New("the API server did not answer in time")
		case err != nil:
			return "", fmt.Errorf("the API server answered %q", apierrors.ReasonForError(err))
		}
		value, ok := s.Data[key]
		if !ok {
			return "", errors.New("the Secret has no such key; add it, or correct spec.sink")
		}
		return string(value), nil
	}
}
