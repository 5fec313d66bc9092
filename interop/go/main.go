// Command gopeer is the other side of the interop tests: a small HTTP server that traces itself
// with the Uber Jaeger client for Go (jaeger-client-go).
//
//	GET  /continue[?next=URL]  takes the caller's context from the headers, works in a span
//	                           `go-server` below it, calls URL from a span `go-client` below that
//	POST /start[?next=URL][&baggage=KEY:VALUE ...][&sampled=0][&debug=1]
//	                           begins a trace in a span `go-root`, calls URL from `go-client`
//
// Both answer with the context they worked in, as JSON, and with what URL answered under `next`.
// The address served is the first line on stdout. The program ends when its stdin is closed, after
// it has sent its spans.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/opentracing/opentracing-go"
	"github.com/opentracing/opentracing-go/ext"
	olog "github.com/opentracing/opentracing-go/log"
	jaeger "github.com/uber/jaeger-client-go"
)

// Long enough for a loaded machine, short enough that a test that hangs is soon seen.
const patience = 15 * time.Second

// The agent reads datagrams up to this size.
const maxPacketBytes = 65000

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "address to serve on")
	agent := flag.String("agent", "127.0.0.1:6831", "address of the Jaeger agent (compact Thrift over UDP)")
	service := flag.String("service", "gopeer", "service name of the spans")
	sample := flag.Bool("sample", true, "whether traces that begin here are sampled")
	flag.Parse()

	transport, err := jaeger.NewUDPTransport(*agent, maxPacketBytes)
	if err != nil {
		log.Fatal(err)
	}
	tracer, closer := jaeger.NewTracer(*service, jaeger.NewConstSampler(*sample),
		jaeger.NewRemoteReporter(transport, jaeger.ReporterOptions.BufferFlushInterval(100*time.Millisecond)),
		jaeger.TracerOptions.Gen128Bit(true))

	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	peer := &peer{tracer: tracer}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /continue", peer.resume)
	mux.HandleFunc("POST /start", peer.start)
	server := &http.Server{Handler: mux, ReadTimeout: patience, WriteTimeout: 2 * patience}
	go func() { log.Fatal(server.Serve(listener)) }()
	fmt.Println(listener.Addr())

	io.Copy(io.Discard, os.Stdin)
	if err := closer.Close(); err != nil {
		log.Fatal(err)
	}
}

type peer struct {
	tracer opentracing.Tracer
}

// answer is what a span's context was, and what the next peer answered.
type answer struct {
	TraceID  string            `json:"trace_id"`
	SpanID   string            `json:"span_id"`
	ParentID string            `json:"parent_id"`
	Flags    byte              `json:"flags"`
	Sampled  bool              `json:"sampled"`
	Debug    bool              `json:"debug"`
	Baggage  map[string]string `json:"baggage"`
	DebugID  string            `json:"debug_id"`
	Sent     map[string]string `json:"sent,omitempty"`
	Next     json.RawMessage   `json:"next,omitempty"`
}

func (p *peer) resume(w http.ResponseWriter, r *http.Request) {
	extracted, err := p.tracer.Extract(opentracing.HTTPHeaders, opentracing.HTTPHeadersCarrier(r.Header))
	if err != nil && err != opentracing.ErrSpanContextNotFound {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	span := p.tracer.StartSpan("go-server", ext.RPCServerOption(extracted))
	span.SetTag("peer.language", "go")
	span.LogFields(olog.String("event", "continued"), olog.Int("answer", 42))
	p.reply(w, r, span)
}

func (p *peer) start(w http.ResponseWriter, r *http.Request) {
	span := p.tracer.StartSpan("go-root")
	span.SetTag("peer.language", "go")
	if r.URL.Query().Get("sampled") == "0" {
		ext.SamplingPriority.Set(span, 0)
	}
	if r.URL.Query().Get("debug") == "1" {
		ext.SamplingPriority.Set(span, 1)
	}
	for _, item := range r.URL.Query()["baggage"] {
		key, value, _ := strings.Cut(item, ":")
		span.SetBaggageItem(key, value)
	}
	p.reply(w, r, span)
}

// reply calls the next peer if one is given, finishes the span and answers.
func (p *peer) reply(w http.ResponseWriter, r *http.Request, span opentracing.Span) {
	context := span.Context().(jaeger.SpanContext)
	a := answer{
		TraceID:  context.TraceID().String(),
		SpanID:   context.SpanID().String(),
		ParentID: context.ParentID().String(),
		Flags:    context.Flags(),
		Sampled:  context.IsSampled(),
		Debug:    context.IsDebug(),
		Baggage:  map[string]string{},
	}
	// The client has no getter for the debug id; a span that begins with one carries it as a tag.
	a.DebugID, _ = span.(*jaeger.Span).Tags()[jaeger.JaegerDebugHeader].(string)
	context.ForeachBaggageItem(func(key, value string) bool {
		a.Baggage[key] = value
		return true
	})
	var err error
	if next := r.URL.Query().Get("next"); next != "" {
		a.Next, a.Sent, err = p.call(span, next)
	}
	span.Finish()
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(a)
}

// call gets url from a client span below parent; gives the body and the headers that were injected.
func (p *peer) call(parent opentracing.Span, url string) (json.RawMessage, map[string]string, error) {
	span := p.tracer.StartSpan("go-client", opentracing.ChildOf(parent.Context()), ext.SpanKindRPCClient)
	defer span.Finish()
	request, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return nil, nil, err
	}
	if err := p.tracer.Inject(span.Context(), opentracing.HTTPHeaders, opentracing.HTTPHeadersCarrier(request.Header)); err != nil {
		return nil, nil, err
	}
	sent := map[string]string{}
	for name := range request.Header {
		sent[strings.ToLower(name)] = request.Header.Get(name)
	}
	client := http.Client{Timeout: patience}
	response, err := client.Do(request)
	if err != nil {
		return nil, nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return nil, nil, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, nil, fmt.Errorf("%s answered %s: %s", url, response.Status, body)
	}
	return body, sent, nil
}
