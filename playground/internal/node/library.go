package node

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	vklog "github.com/virtual-kubelet/virtual-kubelet/log"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/record"
)

// ownEvents keeps the library's own events (ProviderCreateSuccess and the like) away
// from users: a kubelet has none such.
type ownEvents struct{ record.EventRecorder }

// Event drops the library's events and passes the others on.
func (e ownEvents) Event(o runtime.Object, kind, reason, message string) {
	if !strings.HasPrefix(reason, "Provider") {
		e.EventRecorder.Event(o, kind, reason, message)
	}
}

// vkLogger lets the library log through slog. What it calls information is of no use
// to a user of the playground, and what it calls an error is mostly a retry.
type vkLogger struct{ log *slog.Logger }

func (l vkLogger) at(level slog.Level, args ...any) {
	if l.log.Enabled(context.Background(), level) {
		l.log.Log(context.Background(), level, fmt.Sprint(args...))
	}
}

func (l vkLogger) Debug(args ...any)            {}
func (l vkLogger) Debugf(string, ...any)        {}
func (l vkLogger) Info(args ...any)             {}
func (l vkLogger) Infof(string, ...any)         {}
func (l vkLogger) Warn(args ...any)             { l.at(slog.LevelDebug, args...) }
func (l vkLogger) Warnf(f string, args ...any)  { l.at(slog.LevelDebug, fmt.Sprintf(f, args...)) }
func (l vkLogger) Error(args ...any)            { l.at(slog.LevelWarn, args...) }
func (l vkLogger) Errorf(f string, args ...any) { l.at(slog.LevelWarn, fmt.Sprintf(f, args...)) }
func (l vkLogger) Fatal(args ...any)            { l.at(slog.LevelError, args...) }
func (l vkLogger) Fatalf(f string, args ...any) { l.at(slog.LevelError, fmt.Sprintf(f, args...)) }

func (l vkLogger) WithField(key string, value any) vklog.Logger {
	return vkLogger{l.log.With(key, value)}
}

func (l vkLogger) WithFields(fields vklog.Fields) vklog.Logger {
	args := make([]any, 0, 2*len(fields))
	for k, v := range fields {
		args = append(args, k, v)
	}
	return vkLogger{l.log.With(args...)}
}

func (l vkLogger) WithError(err error) vklog.Logger { return vkLogger{l.log.With("err", err)} }
