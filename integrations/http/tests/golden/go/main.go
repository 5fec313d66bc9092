// Runs net/http under nethttp and prints, for each case, what its spans logged and which tags they
// have, in the form of net_http.txt. With the argument httptrace it prints what net/http tells its
// own httptrace, in the form of httptrace.txt; with redirects, what is sent on the way, in the form
// of redirects.txt. Values that differ from run to run are replaced.
package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"sort"
	"strings"
	"syscall"
	"time"

	"github.com/opentracing-contrib/go-stdlib/nethttp"
	"github.com/opentracing/opentracing-go"
	"github.com/opentracing/opentracing-go/mocktracer"
	"golang.org/x/net/dns/dnsmessage"
)

var ports = map[string]string{}

func normal(value string) string {
	for port, name := range ports {
		value = strings.ReplaceAll(value, port, name)
	}
	return value
}

func show(tracer *mocktracer.MockTracer, name string, err error) {
	time.Sleep(50 * time.Millisecond)
	spans := tracer.FinishedSpans()
	sort.Slice(spans, func(a, b int) bool { return spans[a].SpanContext.SpanID < spans[b].SpanContext.SpanID })
	fmt.Printf("case %s\n", name)
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
	}
	for _, span := range spans {
		if span.OperationName == "HTTP Client" {
			continue
		}
		fmt.Printf("span %s\n", span.OperationName)
		var tags []string
		for key, value := range span.Tags() {
			tags = append(tags, fmt.Sprintf("%s=%v", key, value))
		}
		sort.Strings(tags)
		for _, tag := range tags {
			fmt.Printf("  tag %s\n", normal(tag))
		}
		for _, entry := range span.Logs() {
			var fields []string
			for _, field := range entry.Fields {
				value := field.ValueString
				if field.Key == "error.object" {
					value = "*"
				}
				fields = append(fields, field.Key+"="+value)
			}
			fmt.Printf("  log %s\n", normal(strings.Join(fields, " ")))
		}
	}
	fmt.Println()
	tracer.Reset()
}

type run struct {
	tracer *mocktracer.MockTracer
	client *http.Client
}

func newRun(transport *http.Transport) *run {
	return &run{mocktracer.New(), &http.Client{Transport: &nethttp.Transport{RoundTripper: transport}}}
}

func (r *run) do(name, method, url string, body io.Reader, header http.Header, quiet bool) {
	req, err := http.NewRequest(method, url, body)
	if err != nil {
		log.Fatal(err)
	}
	for key, values := range header {
		req.Header[key] = values
	}
	req, ht := nethttp.TraceRequest(opentracing.Tracer(r.tracer), req)
	resp, err := r.client.Do(req)
	if err == nil {
		_, err = io.ReadAll(resp.Body)
		resp.Body.Close()
	}
	ht.Finish()
	if !quiet {
		show(r.tracer, name, err)
	} else {
		time.Sleep(20 * time.Millisecond)
		r.tracer.Reset()
	}
}

type onlyReader struct{ io.Reader }

// A name server on loopback that answers every question for an address with those given.
func nameServer(addrs ...[4]byte) string {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		buf := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			if len(addrs) == 0 {
				continue
			}
			var m dnsmessage.Message
			if m.Unpack(buf[:n]) != nil {
				continue
			}
			m.Response = true
			m.Additionals = nil
			if m.Questions[0].Type == dnsmessage.TypeA {
				for _, a := range addrs {
					m.Answers = append(m.Answers, dnsmessage.Resource{
						Header: dnsmessage.ResourceHeader{Name: m.Questions[0].Name, Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET, TTL: 60},
						Body:   &dnsmessage.AResource{A: a},
					})
				}
			}
			out, err := m.Pack()
			if err == nil {
				conn.WriteTo(out, from)
			}
		}
	}()
	return conn.LocalAddr().String()
}

func resolver(server string) *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", server)
	}}
}

// A port of loopback whose queue is full: connections to it are neither taken nor refused.
func fullPort() string {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		log.Fatal(err)
	}
	syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
	syscall.Listen(fd, 0)
	sa, _ := syscall.Getsockname(fd)
	port := sa.(*syscall.SockaddrInet4).Port
	for i := 0; i < 4; i++ {
		c, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", port), 100*time.Millisecond)
		_ = c
		if err != nil {
			break
		}
	}
	return fmt.Sprint(port)
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "httptrace" {
		bare()
		return
	}
	if len(os.Args) > 1 && os.Args[1] == "redirects" {
		redirects()
		return
	}
	stall := make(chan struct{})
	mux := http.NewServeMux()
	mux.HandleFunc("/time", func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		io.WriteString(w, "The time is now")
	})
	mux.HandleFunc("/moved", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/time", 301) })
	mux.HandleFunc("/stream", func(w http.ResponseWriter, r *http.Request) {
		for i := 0; i < 3; i++ {
			io.WriteString(w, "piece")
			w.(http.Flusher).Flush()
			time.Sleep(20 * time.Millisecond)
		}
	})
	mux.HandleFunc("/nothing", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(204) })
	mux.HandleFunc("/fail", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(503); io.WriteString(w, "no") })
	mux.HandleFunc("/close", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close")
		io.WriteString(w, "bye")
	})
	mux.HandleFunc("/late", func(w http.ResponseWriter, r *http.Request) { <-stall })
	mux.HandleFunc("/half", func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "half")
		w.(http.Flusher).Flush()
		<-stall
	})
	mux.HandleFunc("/panic", func(w http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) })
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	server := &http.Server{Handler: mux, ErrorLog: log.New(io.Discard, "", 0)}
	go server.Serve(l)
	_, port, _ := net.SplitHostPort(l.Addr().String())
	ports[":"+port] = ":PORT"
	base := "http://localhost:" + port
	dial := func(d *net.Dialer) *http.Transport {
		return &http.Transport{DialContext: d.DialContext, ExpectContinueTimeout: time.Second}
	}

	r := newRun(dial(&net.Dialer{}))
	r.do("new", "GET", base+"/time", nil, nil, false)
	r.do("reused", "GET", base+"/time", nil, nil, false)
	r.do("redirect", "GET", base+"/moved", nil, nil, false)
	r.do("head", "HEAD", base+"/time", nil, nil, false)
	r.do("nothing", "GET", base+"/nothing", nil, nil, false)
	r.do("streamed response", "GET", base+"/stream", nil, nil, false)
	r.do("body", "POST", base+"/time", strings.NewReader("hello"), nil, false)
	r.do("streamed request", "POST", base+"/time", onlyReader{strings.NewReader("hello")}, nil, false)
	r.do("expect", "PUT", base+"/time", strings.NewReader("hello"), http.Header{"Expect": {"100-continue"}}, false)
	r.do("fail", "GET", base+"/fail", nil, nil, false)
	r.do("retry", "GET", base+"/panic", nil, nil, false)
	r.do("", "GET", base+"/time", nil, nil, true)
	r.do("no retry", "POST", base+"/panic", strings.NewReader("hello"), nil, false)
	r.do("close", "GET", base+"/close", nil, nil, false)

	r = newRun(dial(&net.Dialer{}))
	r.do("address", "GET", "http://127.0.0.1:"+port+"/time", nil, nil, false)

	// nobody listens
	closed, _ := net.Listen("tcp", "127.0.0.1:0")
	_, refused, _ := net.SplitHostPort(closed.Addr().String())
	closed.Close()
	ports[":"+refused] = ":PORT"
	r = newRun(dial(&net.Dialer{}))
	r.do("refused", "GET", "http://localhost:"+refused+"/time", nil, nil, false)

	r = newRun(dial(&net.Dialer{Resolver: resolver(nameServer([4]byte{127, 0, 0, 2}, [4]byte{127, 0, 0, 1}))}))
	r.do("two addresses", "GET", "http://two.test:"+port+"/time", nil, nil, false)
	r = newRun(dial(&net.Dialer{}))
	r.do("no such host", "GET", "http://no-such-host.invalid/", nil, nil, false)

	short := 200 * time.Millisecond
	r = newRun(dial(&net.Dialer{Timeout: short, Resolver: resolver(nameServer())}))
	r.do("dns timeout", "GET", "http://slow.test:"+port+"/time", nil, nil, false)

	full := fullPort()
	ports[":"+full] = ":PORT"
	r = newRun(dial(&net.Dialer{Timeout: short}))
	r.do("connect timeout", "GET", "http://localhost:"+full+"/time", nil, nil, false)

	mute, _ := net.Listen("tcp", "127.0.0.1:0")
	_, mutePort, _ := net.SplitHostPort(mute.Addr().String())
	ports[":"+mutePort] = ":PORT"
	t := dial(&net.Dialer{})
	t.TLSHandshakeTimeout = short
	t.TLSClientConfig = &tls.Config{InsecureSkipVerify: true}
	r = newRun(t)
	r.do("tls timeout", "GET", "https://localhost:"+mutePort+"/time", nil, nil, false)

	t = dial(&net.Dialer{})
	t.ResponseHeaderTimeout = short
	r = newRun(t)
	r.do("headers timeout", "GET", base+"/late", nil, nil, false)

	r = newRun(dial(&net.Dialer{}))
	r.client.Timeout = short
	r.do("body timeout", "GET", base+"/half", nil, nil, false)
	r = newRun(dial(&net.Dialer{}))
	r.client.Timeout = short
	r.do("headers deadline", "GET", base+"/late", nil, nil, false)
	r = newRun(dial(&net.Dialer{}))
	r.client.Timeout = short
	r.do("send deadline", "POST", "http://localhost:"+mutePort+"/time", endless{}, nil, false)
	close(stall)

	secure := httptest.NewUnstartedServer(mux)
	secure.StartTLS()
	_, tlsPort, _ := net.SplitHostPort(secure.Listener.Addr().String())
	ports[":"+tlsPort] = ":PORT"
	t = dial(&net.Dialer{})
	t.TLSClientConfig = &tls.Config{InsecureSkipVerify: true}
	r = newRun(t)
	r.do("tls", "GET", "https://localhost:"+tlsPort+"/time", nil, nil, false)
	r.do("tls reused", "GET", "https://localhost:"+tlsPort+"/time", nil, nil, false)
	r = newRun(dial(&net.Dialer{}))
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	r.do("tls refused", "GET", "https://localhost:"+tlsPort+"/time", nil, nil, false)
}
