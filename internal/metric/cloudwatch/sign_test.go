package cloudwatch

import (
	"net/http"
	"net/url"
	"testing"
	"time"
)

// AWS's published test suite for Signature Version 4 (aws-sig-v4-test-suite), and the example of its documentation.
func TestSignatures(t *testing.T) {
	suite := credentials{id: "AKIDEXAMPLE", key: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}
	const form, formUTF8 = "application/x-www-form-urlencoded", "application/x-www-form-urlencoded; charset=utf-8"
	for _, c := range []struct {
		name, method, url, body string
		header                  http.Header
		service                 string
		names, signature        string
	}{
		{name: "get-vanilla", names: "host;x-amz-date", signature: "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
		{
			name: "get-vanilla-query-order-key-case", url: "/?Param2=value2&Param1=value1", names: "host;x-amz-date",
			signature: "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
		},
		{name: "post-vanilla", method: "POST", names: "host;x-amz-date", signature: "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
		{
			name: "get-header-value-trim", header: http.Header{"My-Header1": {" value1"}, "My-Header2": {` "a   b   c"`}},
			names: "host;my-header1;my-header2;x-amz-date", signature: "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
		},
		{
			name: "post-x-www-form-urlencoded", method: "POST", body: "Param1=value1", header: http.Header{"Content-Type": {form}},
			names: "content-type;host;x-amz-date", signature: "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
		},
		{
			name: "the documentation's ListUsers", url: "?Action=ListUsers&Version=2010-05-08", service: "iam",
			header: http.Header{"Content-Type": {formUTF8}}, names: "content-type;host;x-amz-date",
			signature: "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			host, method, header := "https://example.amazonaws.com", "GET", c.header
			s := scope{region: "us-east-1", service: "service", now: time.Date(2015, 8, 30, 12, 36, 0, 0, time.UTC)}
			if c.service != "" {
				host, s.service = "https://iam.amazonaws.com", c.service
			}
			if c.method != "" {
				method = c.method
			}
			if header == nil {
				header = http.Header{}
			}
			u, err := url.Parse(host + c.url)
			if err != nil {
				t.Fatal(err)
			}
			sign(header, method, u, []byte(c.body), suite, s)
			want := "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/" + s.service +
				"/aws4_request, SignedHeaders=" + c.names + ", Signature=" + c.signature
			if got := header.Get("Authorization"); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}

func TestCanonicalPath(t *testing.T) {
	for path, want := range map[string]string{"": "/", "/": "/", "/a/b": "/a/b", "/a%20b": "/a%2520b", "/~x-y_z.": "/~x-y_z."} {
		u, err := url.Parse("http://example.com" + path)
		if err != nil {
			t.Fatal(err)
		}
		if got := canonicalPath(u); got != want {
			t.Errorf("%q becomes %q, not %q", path, got, want)
		}
	}
}
