package registry

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/notify"
	"github.com/sluice-dev/sluice/internal/notify/dingtalk"
	"github.com/sluice-dev/sluice/internal/notify/email"
	"github.com/sluice-dev/sluice/internal/notify/lark"
	"github.com/sluice-dev/sluice/internal/notify/slack"
	"github.com/sluice-dev/sluice/internal/notify/teams"
	"github.com/sluice-dev/sluice/internal/notify/webhook"
	"github.com/sluice-dev/sluice/internal/notify/wecom"
)

// NotifyWorld is what sinks need of the world.
type NotifyWorld struct {
	// Client makes HTTP requests, and Dial connections to mail servers: both with the installation's rules of where to.
	Client *http.Client
	Dial   func(ctx context.Context, network, address string) (net.Conn, error)
	// Secret reads one value of a Secret in the Notifier's namespace.
	Secret func(name, key string) (string, error)
	Now    func() time.Time
}

// Notify returns the sink that a Notifier names, with its secrets read.
func Notify(s v1alpha1.NotifierSink, w NotifyWorld) (notify.Sink, error) {
	r := &secrets{read: w.Secret}
	var sink notify.Sink
	var err error
	switch {
	case s.Webhook != nil:
		c := webhook.Config{
			URL: r.value(&s.Webhook.URL), Key: r.value(s.Webhook.SigningKey),
			Authorization: r.value(s.Webhook.Authorization), Client: w.Client, Now: w.Now,
		}
		sink, err = webhook.New(c)
	case s.Slack != nil:
		sink, err = slack.New(slack.Config{URL: r.value(&s.Slack.URL), Client: w.Client, Now: w.Now})
	case s.Teams != nil:
		sink, err = teams.New(teams.Config{URL: r.value(&s.Teams.URL), Client: w.Client, Now: w.Now})
	case s.DingTalk != nil:
		sink, err = dingtalk.New(dingtalk.Config{
			URL: r.value(&s.DingTalk.URL), Key: r.value(s.DingTalk.SigningKey),
			Client: w.Client, Now: w.Now,
		})
	case s.Lark != nil:
		sink, err = lark.New(lark.Config{
			URL: r.value(&s.Lark.URL), Key: r.value(s.Lark.SigningKey), Client: w.Client,
			Now: w.Now,
		})
	case s.WeCom != nil:
		sink, err = wecom.New(wecom.Config{URL: r.value(&s.WeCom.URL), Client: w.Client, Now: w.Now})
	case s.Email != nil:
		sink, err = email.New(mailOf(s.Email, r, w))
	default:
		return nil, fmt.Errorf("spec.sink: set one of webhook, slack, teams, dingTalk, lark, weCom and email")
	}
	if r.err != nil { // What was made of secrets that are missing says nothing.
		return nil, r.err
	}
	if err != nil {
		return nil, err
	}
	return sink, nil
}

func mailOf(s *v1alpha1.EmailSink, r *secrets, w NotifyWorld) email.Config {
	c := email.Config{
		Host: s.Host, Encryption: email.Encryption(s.Encryption), CA: []byte(r.value(s.CA)),
		From: s.From, To: s.To, Dial: w.Dial, Now: w.Now,
	}
	if s.Port != nil {
		c.Port = int(*s.Port)
	}
	if s.Auth != nil { // The keys of kubernetes.io/basic-auth.
		c.Username = r.value(&v1alpha1.SecretKeyReference{Name: s.Auth.Name, Key: "username"})
		c.Password = r.value(&v1alpha1.SecretKeyReference{Name: s.Auth.Name, Key: "password"})
	}
	return c
}

// secrets reads values, and keeps the first error.
type secrets struct {
	read func(name, key string) (string, error)
	err  error
}

func (r *secrets) value(ref *v1alpha1.SecretKeyReference) string {
	if ref == nil || r.err != nil {
		return ""
	}
	value, err := r.read(ref.Name, ref.Key)
	if err != nil {
		r.err = fmt.Errorf("read key %s of Secret %s: %w", ref.Key, ref.Name, err)
	} else if value == "" {
		r.err = fmt.Errorf("read key %s of Secret %s: it is empty", ref.Key, ref.Name)
	}
	return value
}
