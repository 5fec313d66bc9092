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
	"net/http/httptrace"
	"net/textproto"
	"os"
	"strings"
	"sync"
	"time"
)

// What net/http tells its own httptrace, without nethttp: every callback, in the order it came.
type told struct {
	mu    sync.Mutex
	lines []string
}

func (t *told) line(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lines = append(t.lines, normal(fmt.Sprintf(format, args...)))
}

// Whether something failed: the words are each client's own.
func failed(err error) string {
	if err != nil {
		return " error"
	}
	return ""
}

func (t *told) trace() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		GetConn:  func(hostPort string) { t.line("GetConn %s", hostPort) },
		DNSStart: func(info httptrace.DNSStartInfo) { t.line("DNSStart %s", info.Host) },
		DNSDone: func(info httptrace.DNSDoneInfo) {
			addrs := ""
			for _, addr := range info.Addrs {
				addrs += " " + addr.String()
			}
			t.line("DNSDone%s%s", addrs, failed(info.Err))
		},
		ConnectStart:         func(network, addr string) { t.line("ConnectStart %s %s", network, addr) },
		ConnectDone:          func(network, addr string, err error) { t.line("ConnectDone %s %s%s", network, addr, failed(err)) },
		TLSHandshakeStart:    func() { t.line("TLSHandshakeStart") },
		TLSHandshakeDone:     func(_ tls.ConnectionState, err error) { t.line("TLSHandshakeDone%s", failed(err)) },
		GotConn:              func(info httptrace.GotConnInfo) { t.line("GotConn reused=%v was_idle=%v", info.Reused, info.WasIdle) },
		WroteHeaders:         func() { t.line("WroteHeaders") },
		Wait100Continue:      func() { t.line("Wait100Continue") },
		WroteRequest:         func(info httptrace.WroteRequestInfo) { t.line("WroteRequest%s", failed(info.Err)) },
		GotFirstResponseByte: func() { t.line("GotFirstResponseByte") },
		Got100Continue:       func() { t.line("Got100Continue") },
		Got1xxResponse: func(code int, _ textproto.MIMEHeader) error {
			t.line("Got1xxResponse %d", code)
			return nil
		},
		PutIdleConn: func(err error) { t.line("PutIdleConn%s", failed(err)) },
	}
}

// A request under way, and what it was told so far.
type asked struct {
	name string
	told *told
	resp *http.Response
	err  error
}

func ask(client *http.Client, name, method, url string, body io.Reader, header http.Header) *asked {
	t := &told{}
	req, err := http.NewRequestWithContext(httptrace.WithClientTrace(context.Background(), t.trace()), method, url, body)
	if err != nil {
		log.Fatal(err)
	}
	for key, values := range header {
		req.Header[key] = values
	}
	resp, err := client.Do(req)
	return &asked{name, t, resp, err}
}

func (a *asked) end(quiet bool) {
	if a.err == nil {
		_, a.err = io.ReadAll(a.resp.Body)
		a.resp.Body.Close()
	}
	time.Sleep(50 * time.Millisecond)
	if a.err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", a.name, a.err)
	}
	if quiet {
		return
	}
	a.told.mu.Lock()
	defer a.told.mu.Unlock()
	fmt.Printf("case %s\n%s\n\n", a.name, strings.Join(a.told.lines, "\n"))
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

func bare() {
	stall := make(chan struct{})
	mux := http.NewServeMux()
	mux.HandleFunc("/time", func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		io.WriteString(w, "The time is now")
	})
	// Its leave comes late, so that whoever writes and whoever reads do not race to tell it.
	mux.HandleFunc("/expect", func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(20 * time.Millisecond)
		io.Copy(io.Discard, r.Body)
		io.WriteString(w, "The time is now")
	})
	mux.HandleFunc("/hints", func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(103)
		io.WriteString(w, "The time is now")
	})
	mux.HandleFunc("/stream", func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		for i := 0; i < 3; i++ {
			time.Sleep(20 * time.Millisecond)
			io.WriteString(w, "piece")
			w.(http.Flusher).Flush()
		}
	})
	mux.HandleFunc("/late", func(w http.ResponseWriter, r *http.Request) { <-stall })
	mux.HandleFunc("/half", func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "half")
		w.(http.Flusher).Flush()
		<-stall
	})
	listen := func() (net.Listener, string) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			log.Fatal(err)
		}
		_, port, _ := net.SplitHostPort(l.Addr().String())
		ports[":"+port] = ":PORT"
		return l, port
	}
	l, port := listen()
	go (&http.Server{Handler: mux, ErrorLog: log.New(io.Discard, "", 0)}).Serve(l)
	base := "http://localhost:" + port
	client := func(d *net.Dialer) *http.Client {
		return &http.Client{Transport: &http.Transport{DialContext: d.DialContext, ExpectContinueTimeout: time.Second}}
	}
	get := func(c *http.Client, name, url string) { ask(c, name, "GET", url, nil, nil).end(false) }

	c := client(&net.Dialer{})
	get(c, "new", base+"/time")
	get(c, "reused", base+"/time")
	ask(c, "head", "HEAD", base+"/time", nil, nil).end(false)
	ask(c, "streamed request", "POST", base+"/time", onlyReader{strings.NewReader("hello")}, nil).end(false)
	get(c, "streamed response", base+"/stream")
	ask(c, "expect", "PUT", base+"/expect", strings.NewReader("hello"), http.Header{"Expect": {"100-continue"}}).end(false)
	get(c, "hints", base+"/hints")

	c = client(&net.Dialer{})
	c.Transport.(*http.Transport).MaxIdleConnsPerHost = 1
	slow := ask(c, "no room", "GET", base+"/stream", nil, nil)
	ask(c, "", "GET", base+"/time", nil, nil).end(true)
	slow.end(false)

	closed, refused := listen()
	closed.Close()
	get(client(&net.Dialer{}), "refused", "http://localhost:"+refused+"/time")
	two := resolver(nameServer([4]byte{127, 0, 0, 2}, [4]byte{127, 0, 0, 1}))
	get(client(&net.Dialer{Resolver: two}), "two addresses", "http://two.test:"+port+"/time")
	get(client(&net.Dialer{}), "no such host", "http://no-such-host.invalid/")

	secure := httptest.NewUnstartedServer(mux)
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	_, tlsPort, _ := net.SplitHostPort(secure.Listener.Addr().String())
	ports[":"+tlsPort] = ":PORT"
	trusting := func(d *net.Dialer) *http.Client {
		c := client(d)
		c.Transport.(*http.Transport).TLSClientConfig = &tls.Config{InsecureSkipVerify: true}
		return c
	}
	c = trusting(&net.Dialer{})
	get(c, "tls", "https://localhost:"+tlsPort+"/time")
	get(c, "tls reused", "https://localhost:"+tlsPort+"/time")
	get(client(&net.Dialer{}), "tls refused", "https://localhost:"+tlsPort+"/time")

	short := 200 * time.Millisecond
	get(client(&net.Dialer{Timeout: short, Resolver: resolver(nameServer())}), "dns timeout", "http://slow.test:"+port+"/time")
	full := fullPort()
	ports[":"+full] = ":PORT"
	get(client(&net.Dialer{Timeout: short}), "connect timeout", "http://localhost:"+full+"/time")
	_, mute := listen()
	c = trusting(&net.Dialer{})
	c.Transport.(*http.Transport).TLSHandshakeTimeout = short
	get(c, "tls timeout", "https://localhost:"+mute+"/time")

	// The time for the whole request ends in each of its phases.
	within := func(c *http.Client) *http.Client { c.Timeout = short; return c }
	get(within(client(&net.Dialer{Resolver: resolver(nameServer())})), "dns deadline", "http://slow.test:"+port+"/time")
	get(within(client(&net.Dialer{})), "connect deadline", "http://localhost:"+full+"/time")
	get(within(trusting(&net.Dialer{})), "tls deadline", "https://localhost:"+mute+"/time")
	ask(within(client(&net.Dialer{})), "send deadline", "POST", "http://localhost:"+mute+"/time", endless{}, nil).end(false)
	get(within(client(&net.Dialer{})), "headers deadline", base+"/late")
	get(within(client(&net.Dialer{})), "body deadline", base+"/half")
	close(stall)
}
