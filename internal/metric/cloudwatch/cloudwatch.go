// Package cloudwatch asks Amazon CloudWatch's GetMetricData, in its query protocol.
//
// It may import internal/metric and the API types.
package cloudwatch

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/metric"
)

const (
	version       = "2010-08-01"
	defaultPeriod = time.Minute
	defaultWindow = 5 * time.Minute
)

// New makes the source.
func New() metric.Source { return source{} }

type source struct{}

func (source) Measure(ctx context.Context, q metric.Query) (metric.Result, error) {
	p := q.Provider.CloudWatch
	u, err := endpoint(p)
	if err != nil {
		return metric.Result{}, err
	}
	conn, err := metric.Connect(q, nil)
	if err != nil {
		return metric.Result{}, err
	}
	k, err := keys(conn, p.Secret.Name)
	if err != nil {
		return metric.Result{}, err
	}
	body := []byte(question(p, q.Now).Encode())
	header := http.Header{"Content-Type": {"application/x-www-form-urlencoded; charset=utf-8"}}
	sign(header, http.MethodPost, u, body, k, scope{region: p.Region, service: "monitoring", now: q.Now})
	header.Set("Accept", "text/xml")
	answer, err := conn.Ask(ctx, metric.Request{Method: http.MethodPost, URL: u, Header: header, Body: body})
	if err != nil {
		return metric.Result{}, err
	}
	if err := refusal(answer); err != nil {
		return metric.Result{}, err
	}
	f, err := read(answer.Body)
	if err != nil {
		return metric.Result{}, err
	}
	return metric.Result{Value: f, Status: answer.Status}, nil
}

// Check finds what can be known to be wrong without asking.
func Check(p *v1alpha1.CloudWatchProvider) error {
	_, err := endpoint(p)
	return err
}

func endpoint(p *v1alpha1.CloudWatchProvider) (*url.URL, error) {
	address, field := p.Address, "cloudWatch.address"
	if address == "" {
		host := "monitoring." + p.Region + ".amazonaws.com"
		if len(p.Region) > 3 && p.Region[:3] == "cn-" {
			host += ".cn"
		}
		address, field = "https://"+host, "cloudWatch.region"
		if u, err := url.Parse(address); err != nil || u.Host != host {
			return nil, errors.New("cloudWatch.region: is no region, as eu-central-1")
		}
	}
	u, err := metric.Endpoint(field, address)
	if err != nil {
		return nil, err
	}
	if u.Path == "" {
		u.Path = "/"
	}
	return u, nil
}

func keys(conn *metric.Conn, secret string) (credentials, error) {
	const field = "cloudWatch.secret"
	id, err := conn.Secret(field, secret, "access-key-id")
	if err != nil {
		return credentials{}, err
	}
	key, err := conn.Secret(field, secret, "secret-access-key")
	if err != nil {
		return credentials{}, err
	}
	token, err := conn.Secret(field, secret, "session-token")
	if err != nil && !errors.Is(err, metric.ErrNoKey) {
		return credentials{}, err
	}
	for _, s := range []string{id, token} {
		if !printable(s) {
			return credentials{}, fmt.Errorf("%s: access-key-id or session-token of Secret %s has characters that no header "+
				"may have", field, secret)
		}
	}
	return credentials{id: id, key: key, token: token}, nil
}

func printable(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return true
}

func question(p *v1alpha1.CloudWatchProvider, now time.Time) url.Values {
	period, window := defaultPeriod, defaultWindow
	if p.Period != nil && p.Period.Duration > 0 {
		period = p.Period.Duration
	}
	if p.Window != nil && p.Window.Duration > 0 {
		window = p.Window.Duration
	}
	const query = "MetricDataQueries.member.1."
	return url.Values{
		"Action":             {"GetMetricData"},
		"Version":            {version},
		"StartTime":          {now.Add(-window).UTC().Format(time.RFC3339)},
		"EndTime":            {now.UTC().Format(time.RFC3339)},
		"ScanBy":             {"TimestampDescending"},
		query + "Id":         {"sluice"},
		query + "Expression": {p.Expression},
		query + "Period":     {strconv.FormatInt(int64(period/time.Second), 10)},
	}
}

type failure struct {
	XMLName xml.Name `xml:"ErrorResponse"`
	Code    string   `xml:"Error>Code"`
}

// refusal says why CloudWatch did not answer. Its text is not shown: with a wrong signature it is what was signed.
func refusal(a metric.Answer) error {
	err := a.Err()
	var f failure
	if err == nil || xml.Unmarshal(a.Body, &f) != nil {
		return err
	}
	return fmt.Errorf("%w (%s)", err, metric.Known(f.Code,
		"AccessDenied", "AccessDeniedException", "ExpiredToken", "IncompleteSignature", "InternalFailure",
		"InvalidClientTokenId",
		"InvalidNextToken", "InvalidParameterCombination", "InvalidParameterValue", "MissingAuthenticationToken",
		"MissingParameter", "OptInRequired", "RequestExpired", "ServiceUnavailable", "SignatureDoesNotMatch", "Throttling",
		"ThrottlingException", "ValidationError"))
}

type response struct {
	XMLName xml.Name `xml:"GetMetricDataResponse"`
	Results []struct {
		Status string   `xml:"StatusCode"`
		Values []string `xml:"Values>member"` // newest first
	} `xml:"GetMetricDataResult>MetricDataResults>member"`
}

func read(body []byte) (float64, error) {
	var r response
	if xml.Unmarshal(body, &r) != nil {
		return 0, errors.New("the answer is not that of CloudWatch's GetMetricData; look at cloudWatch.address")
	}
	switch {
	case len(r.Results) == 0:
		return 0, metric.NoData{Why: "cloudWatch.expression finds no metric"}
	case len(r.Results) > 1:
		return 0, fmt.Errorf("cloudWatch.expression gives %d series, and one is measured; aggregate them, as by SUM()",
			len(r.Results))
	}
	switch first := r.Results[0]; {
	case first.Status == "Forbidden":
		return 0, errors.New("cloudWatch.expression: CloudWatch forbids reading a metric of it; look at the key's policy")
	case first.Status != "Complete" && first.Status != "PartialData":
		return 0, errors.New("cloudWatch.expression: CloudWatch could not read all of it")
	case len(first.Values) == 0:
		return 0, metric.NoData{Why: "cloudWatch.expression has no value in the window"}
	default:
		return metric.Number(first.Values[0])
	}
}
