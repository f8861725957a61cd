package cloudwatch

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

const algorithm = "AWS4-HMAC-SHA256"

type credentials struct{ id, key, token string }

// scope is what a signature is good for.
type scope struct {
	region, service string
	now             time.Time
}

func (s scope) time() string { return s.now.UTC().Format("20060102T150405Z") }

func (s scope) String() string {
	return strings.Join([]string{s.now.UTC().Format("20060102"), s.region, s.service, "aws4_request"}, "/")
}

// sign adds AWS's Signature Version 4 to the headers; all that are there are signed, and Host.
func sign(h http.Header, method string, u *url.URL, body []byte, c credentials, s scope) {
	h.Set("X-Amz-Date", s.time())
	if c.token != "" {
		h.Set("X-Amz-Security-Token", c.token)
	}
	names, lines := canonicalHeaders(h, u.Host)
	request := strings.Join([]string{method, canonicalPath(u), canonicalQuery(u), lines, names, hash(body)}, "\n")
	text := strings.Join([]string{algorithm, s.time(), s.String(), hash([]byte(request))}, "\n")
	h.Set("Authorization", algorithm+" Credential="+c.id+"/"+s.String()+
		", SignedHeaders="+names+", Signature="+hex.EncodeToString(mac(s.key(c.key), text)))
}

// key derives the key of a day, a region and a service from the secret one.
func (s scope) key(secret string) []byte {
	k := []byte("AWS4" + secret)
	for _, part := range strings.Split(s.String(), "/") {
		k = mac(k, part)
	}
	return k
}

func mac(key []byte, text string) []byte {
	m := hmac.New(sha256.New, key)
	m.Write([]byte(text))
	return m.Sum(nil)
}

func hash(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// canonicalHeaders gives the names in order, and a line for each.
func canonicalHeaders(h http.Header, host string) (names, lines string) {
	values := map[string]string{"host": host}
	for name, v := range h {
		clean := make([]string, len(v))
		for i := range v {
			clean[i] = strings.Join(strings.Fields(v[i]), " ")
		}
		values[strings.ToLower(name)] = strings.Join(clean, ",")
	}
	sorted := make([]string, 0, len(values))
	for name := range values {
		sorted = append(sorted, name)
	}
	slices.Sort(sorted)
	for _, name := range sorted {
		lines += name + ":" + values[name] + "\n"
	}
	return strings.Join(sorted, ";"), lines
}

// canonicalPath encodes the path a second time, as every service but S3 wants it.
func canonicalPath(u *url.URL) string {
	p := u.EscapedPath()
	if p == "" {
		return "/"
	}
	return strings.ReplaceAll(encode(p), "%2F", "/")
}

func canonicalQuery(u *url.URL) string {
	var pairs [][2]string
	for name, values := range u.Query() {
		for _, v := range values {
			pairs = append(pairs, [2]string{encode(name), encode(v)})
		}
	}
	slices.SortFunc(pairs, func(a, b [2]string) int { return strings.Compare(a[0]+"\x00"+a[1], b[0]+"\x00"+b[1]) })
	out := make([]string, len(pairs))
	for i, p := range pairs {
		out[i] = p[0] + "=" + p[1]
	}
	return strings.Join(out, "&")
}

// encode leaves only the unreserved characters of RFC 3986 as they are; url.QueryEscape differs in the space.
func encode(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }
