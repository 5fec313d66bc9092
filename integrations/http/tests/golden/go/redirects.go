package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
)

// What is asked for, which Referer the caller sets, and where the responses lead in turn.
type way struct {
	name, url, referer string
	locations          []string
}

const start = "http://localhost:PORT/a/b?c"

var ways = []way{
	{"path with a space", start, "", []string{"/x y"}},
	{"path with angle brackets", start, "", []string{"/<script>"}},
	{"path with a quote", start, "", []string{`/a"b`}},
	{"path with braces", start, "", []string{"/a{b}"}},
	{"path with a caret, a backtick, a bar", start, "", []string{"/^`|"}},
	{"path with a backslash", start, "", []string{`/a\b`}},
	{"path with brackets", start, "", []string{"/a[b]"}},
	{"path with sub-delimiters", start, "", []string{"/!$&'()*+,;=:@-._~"}},
	{"path percent-encoded", start, "", []string{"/a%20b%2Fc%3f"}},
	{"path with UTF-8", start, "", []string{"/ü"}},
	{"path with Latin-1", start, "", []string{"/\xe9"}},
	{"path with dots", start, "", []string{"/x/../y/./z/.."}},
	{"path with encoded dots", start, "", []string{"/x/%2e%2e/y"}},
	{"path with double slashes", start, "", []string{"/x//y"}},
	{"relative path", start, "", []string{"x"}},
	{"relative path with dots", start, "", []string{"../x/./y/.."}},
	{"relative path above the root", start, "", []string{"../../../x"}},
	{"relative path with a colon", start, "", []string{"x:y"}},
	{"relative path with a colon after a dot", start, "", []string{"./x:y"}},
	{"query", start, "", []string{"?y=1&z"}},
	{"query percent-encoded", start, "", []string{"?q=1%202"}},
	{"query with a URL", start, "", []string{"/x?u=http://y/../z"}},
	{"query with braces and a bar", start, "", []string{"?{a}|b"}},
	{"query that is empty", start, "", []string{"?"}},
	{"fragment", start, "", []string{"#part"}},
	{"fragment after a path", start, "", []string{"/x#part?z"}},
	{"no scheme", start, "", []string{"//other.test:PORT/x"}},
	{"no scheme and no path", start, "", []string{"//other.test:PORT"}},
	{"no scheme and a query", start, "", []string{"//other.test:PORT?x"}},
	{"another host", start, "", []string{"http://other.test:PORT/x/../y"}},
	{"another host in capitals", start, "", []string{"HTTP://other.test:PORT/x"}},
	{"another host by IDNA", start, "", []string{"//bücher.test:PORT/x"}},
	{"another host by IDNA, percent-encoded", start, "", []string{"//b%C3%BCcher.test:PORT/x"}},
	{"mail", start, "", []string{"mailto:me@host"}},
	{"another scheme", start, "", []string{"ftp://host/x"}},
	{"scheme without slashes", start, "", []string{"http:x"}},
	{"no host", start, "", []string{"http:///x"}},
	{"port that is none", start, "", []string{"http://host:x/"}},
	{"script", start, "", []string{"javascript:alert(1)"}},
	{"tab", start, "", []string{"/a\tb"}},
	{"several hops", "http://localhost:PORT/n/3", "", []string{"/n/2", "/n/1", "/n/0"}},
	{"several hops with a Referer", "http://localhost:PORT/n/3", "http://own.test/x", []string{"/n/2", "/n/1"}},
	{"several hosts", start, "", []string{"//other.test:PORT/x?y", "//localhost:PORT/z"}},
	{"asked in UTF-8", "http://localhost:PORT/ü", "", []string{"/x"}},
	{"asked by IDNA", "http://bücher.test:PORT/x", "", nil},
}

// What is sent on the way: as the request line has it, with Host and Referer.
func redirects() {
	var next []string
	var port string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Printf("sent %s %s host=%s", r.Method, r.RequestURI, normal(r.Host))
		if referer := r.Referer(); referer != "" {
			fmt.Printf(" referer=%s", normal(referer))
		}
		fmt.Println()
		if len(next) > 0 {
			w.Header().Set("Location", strings.ReplaceAll(next[0], "PORT", port))
			next = next[1:]
			w.WriteHeader(http.StatusFound)
		}
	}))
	_, port, _ = net.SplitHostPort(server.Listener.Addr().String())
	ports[":"+port] = ":PORT"
	transport := &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return net.Dial(network, "127.0.0.1:"+port)
	}}
	for _, way := range ways {
		fmt.Printf("case %s\nask %s\n", way.name, way.url)
		request, err := http.NewRequest("GET", strings.ReplaceAll(way.url, "PORT", port), nil)
		if err != nil {
			panic(err)
		}
		if way.referer != "" {
			fmt.Printf("referer %s\n", way.referer)
			request.Header.Set("Referer", way.referer)
		}
		for _, location := range way.locations {
			fmt.Printf("location %q\n", location)
		}
		next = way.locations
		response, err := (&http.Client{Transport: transport}).Do(request)
		if err != nil {
			fmt.Print("error\n\n")
			continue
		}
		io.Copy(io.Discard, response.Body)
		response.Body.Close()
		fmt.Println()
	}
}
