package cloudwatch_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/metric/cloudwatch"
	"github.com/sluice-dev/sluice/internal/metric/metrictest"
)

func kit(token bool) metrictest.Kit {
	k := metrictest.Kit{
		Source: cloudwatch.New(),
		Provider: func(address string, _ *v1alpha1.Connection) v1alpha1.MetricProvider {
			return v1alpha1.MetricProvider{CloudWatch: &v1alpha1.CloudWatchProvider{
				Region: "eu-central-1", Address: address, Expression: "AVG(SEARCH('x', 'Sum'))", Secret: v1alpha1.SecretReference{Name: "aws"},
				Period: &metav1.Duration{Duration: 5 * time.Minute}, Window: &metav1.Duration{Duration: time.Hour},
			}}
		},
		Secrets: metrictest.Secrets{"aws": {"access-key-id": "AKIDEXAMPLE", "secret-access-key": "the-secret-access-key"}},
		Good:    metrictest.Answers(http.StatusOK, answer("Complete", "0.25", "7")),
		Want:    0.25,
	}
	if token {
		k.Secrets["aws"]["session-token"] = "the-session-token"
	}
	return k
}

func answer(status string, values ...string) string { return envelope(result(status, values...)) }

func envelope(results string) string {
	return `<GetMetricDataResponse xmlns="http://monitoring.amazonaws.com/doc/2010-08-01/"><GetMetricDataResult><MetricDataResults>` +
		results + `</MetricDataResults><Messages/></GetMetricDataResult><ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></GetMetricDataResponse>`
}

func result(status string, values ...string) string {
	v := ""
	for _, x := range values {
		v += "<member>" + x + "</member>"
	}
	return fmt.Sprintf(`<member><Id>sluice</Id><Label>WORDS-OF-THE-SERVER</Label><StatusCode>%s</StatusCode>`+
		`<Timestamps><member>2030-01-02T03:00:00Z</member></Timestamps><Values>%s</Values></member>`, status, v)
}

func TestLaw(t *testing.T) {
	metrictest.Run(t, kit(false))
	t.Run("with a session token", func(t *testing.T) { metrictest.Run(t, kit(true)) })
}

func TestAnswer(t *testing.T) {
	failure := func(code string) string {
		return "<ErrorResponse><Error><Type>Sender</Type><Code>" + code + "</Code><Message>WORDS-OF-THE-SERVER</Message></Error></ErrorResponse>"
	}
	metrictest.Table(t, kit(false), []metrictest.Case{
		{Name: "newest first", Body: answer("Complete", "1.5", "2"), Want: 1.5},
		{Name: "in part", Body: answer("PartialData", "3"), Want: 3.0},
		{Name: "no values", Body: answer("Complete"), Err: "no value", NoData: true},
		{Name: "no metric", Body: envelope(""), Err: "finds no metric", NoData: true},
		{Name: "NaN", Body: answer("Complete", "NaN"), Err: "NaN", NoData: true},
		{Name: "several", Body: envelope(result("Complete", "1") + result("Complete", "2")), Err: "gives 2 series"},
		{Name: "forbidden metric", Body: answer("Forbidden", "1"), Err: "look at the key's policy"},
		{Name: "internal error", Body: answer("InternalError", "1"), Err: "could not read all"},
		{Name: "no number", Body: answer("Complete", "WORDS-OF-THE-SERVER"), Err: "no number"},
		{Name: "wrong signature", Status: 403, Body: failure("SignatureDoesNotMatch"), Err: "look at the credentials (SignatureDoesNotMatch)"},
		{Name: "wrong expression", Status: 400, Body: failure("ValidationError"), Err: "400 Bad Request (ValidationError)"},
		{Name: "unknown code", Status: 400, Body: failure("WORDS-OF-THE-SERVER"), Err: "400 Bad Request (a code that Sluice does not know)"},
		{Name: "JSON", Body: `{"MetricDataResults": []}`, Err: "not that of CloudWatch"},
	})
}

func TestQuestion(t *testing.T) {
	k := kit(true)
	_, err := k.Measure(t, func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			t.Error(err)
		}
		const q = "MetricDataQueries.member.1."
		want := url.Values{
			"Action": {"GetMetricData"}, "Version": {"2010-08-01"}, "ScanBy": {"TimestampDescending"},
			"StartTime": {"2030-01-02T02:04:05Z"}, "EndTime": {"2030-01-02T03:04:05Z"},
			q + "Id": {"sluice"}, q + "Expression": {"AVG(SEARCH('x', 'Sum'))"}, q + "Period": {"300"},
		}
		if d := cmp.Diff(want, r.PostForm); d != "" || r.Method != http.MethodPost || r.URL.Path != "/" {
			t.Errorf("%s %s (-want +got):\n%s", r.Method, r.URL.Path, d)
		}
		const start = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20300102/eu-central-1/monitoring/aws4_request, " +
			"SignedHeaders=content-type;host;x-amz-date;x-amz-security-token, Signature="
		if got := r.Header.Get("Authorization"); !strings.HasPrefix(got, start) || len(got) != len(start)+64 {
			t.Errorf("Authorization is %s", got)
		}
		if r.Header.Get("X-Amz-Security-Token") != "the-session-token" || r.Header.Get("X-Amz-Date") != "20300102T030405Z" {
			t.Errorf("headers are %v", r.Header)
		}
		k.Good(w, r)
	})
	if err != nil {
		t.Error(err)
	}
}

func TestRegion(t *testing.T) {
	for region, want := range map[string]string{
		"eu-central-1": "ask monitoring.eu-central-1.amazonaws.com: the host is not allowed",
		"cn-north-1":   "ask monitoring.cn-north-1.amazonaws.com.cn: the host is not allowed",
		"evil.com/":    "cloudWatch.region: is no region",
		"x@evil.com#":  "cloudWatch.region: is no region",
	} {
		k := kit(false)
		q := k.Query(t, "", nil, nil)
		q.Provider.CloudWatch.Region = region
		_, err := k.Source.Measure(t.Context(), q)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("region %q: error is %v, not %q", region, err, want)
		}
	}
}

var errStore = errors.New("the store is away")

func TestSecrets(t *testing.T) {
	for want, read := range map[string]func(name, key string) (string, error){
		"cloudWatch.secret: read key session-token of Secret aws: the store is away": func(_, key string) (string, error) {
			if key == "session-token" {
				return "", errStore // it may be there: asking without it would be another question
			}
			return "value", nil
		},
		"has characters that no header may have":                           func(string, string) (string, error) { return "a b", nil },
		"cloudWatch.secret: key access-key-id of Secret aws is empty":      func(string, string) (string, error) { return "\n", nil },
		"cloudWatch.secret: read key access-key-id of Secret aws: the sto": func(string, string) (string, error) { return "", errStore },
	} {
		k := kit(false)
		q := k.Query(t, "http://127.0.0.1:9", nil, nil)
		q.Secret = read
		_, err := k.Source.Measure(t.Context(), q)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error is %v, not %q", err, want)
		}
	}
}
