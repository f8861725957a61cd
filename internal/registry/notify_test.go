package registry

import (
	"errors"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// fullSinks has a sink of each kind, with all secrets that it can have.
func fullSinks() map[string]v1alpha1.NotifierSink {
	url := v1alpha1.SecretKeyReference{Name: "hook", Key: "url"}
	key := &v1alpha1.SecretKeyReference{Name: "hook", Key: "key"}
	return map[string]v1alpha1.NotifierSink{
		"webhook":  {Webhook: &v1alpha1.WebhookSink{URL: url, SigningKey: key, Authorization: key}},
		"slack":    {Slack: &v1alpha1.SlackSink{URL: url}},
		"teams":    {Teams: &v1alpha1.TeamsSink{URL: url}},
		"dingTalk": {DingTalk: &v1alpha1.DingTalkSink{URL: url, SigningKey: key}},
		"lark":     {Lark: &v1alpha1.LarkSink{URL: url, SigningKey: key}},
		"weCom":    {WeCom: &v1alpha1.WeComSink{URL: url}},
		"email": {Email: &v1alpha1.EmailSink{
			Host: "mail.example.com", From: "a@example.com", To: []string{"b@example.com"}, Auth: &v1alpha1.SecretReference{Name: "hook"},
		}},
	}
}

// TestNotify: each sink that the API names is built in, with its secrets read, and says which is missing.
func TestNotify(t *testing.T) {
	sinks := fullSinks()
	for i := range reflect.TypeFor[v1alpha1.NotifierSink]().NumField() {
		name, _, _ := strings.Cut(reflect.TypeFor[v1alpha1.NotifierSink]().Field(i).Tag.Get("json"), ",")
		if _, ok := sinks[name]; !ok {
			t.Errorf("no sink for the field %s", name)
		}
	}
	packages := map[string]string{}
	for name, s := range sinks {
		var read []string
		w := NotifyWorld{Client: http.DefaultClient, Now: time.Now, Secret: func(secret, key string) (string, error) {
			read = append(read, secret+"/"+key)
			return map[string]string{"url": "https://hook.example.com/", "key": "k", "username": "u", "password": "p"}[key], nil
		}}
		sink, err := Notify(s, w)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		packages[reflect.TypeOf(sink).String()] = name
		for _, missing := range read {
			for _, w.Secret = range []func(string, string) (string, error){
				func(secret, key string) (string, error) {
					if secret+"/"+key == missing {
						return "", errors.New("not found")
					}
					return "https://hook.example.com/", nil
				},
				func(secret, key string) (string, error) {
					if secret+"/"+key == missing {
						return "", nil
					}
					return "https://hook.example.com/", nil
				},
			} {
				_, key, _ := strings.Cut(missing, "/")
				if sink, err := Notify(s, w); sink != nil || err == nil || !strings.HasPrefix(err.Error(), "read key "+key+" of Secret hook: ") {
					t.Errorf("%s without %s: %v", name, missing, err)
				}
			}
		}
	}
	if len(packages) != len(sinks) {
		t.Errorf("sinks share a kind: %v", packages)
	}
	if _, err := Notify(v1alpha1.NotifierSink{}, NotifyWorld{}); err == nil || !strings.Contains(err.Error(), "spec.sink: set one of") {
		t.Errorf("got %v", err)
	}
}
