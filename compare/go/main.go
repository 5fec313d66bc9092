// jaeger-client-go as a peer: the same cases, options and output as the programs in Rust.
package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/opentracing/opentracing-go"
	"github.com/opentracing/opentracing-go/log"
	"github.com/uber/jaeger-client-go"
	"github.com/uber/jaeger-client-go/zipkin"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Printf("unsupported=%v\n", err)
		os.Exit(3)
	}
}

func run(arguments []string) error {
	switch {
	case len(arguments) == 2 && arguments[0] == "time":
		return timed(arguments[1])
	case len(arguments) == 4 && arguments[0] == "flood":
		return flood(arguments[1], arguments[2], arguments[3])
	case len(arguments) == 4 && arguments[0] == "paced":
		return paced(arguments[1], arguments[2], arguments[3])
	}
	return errors.New("usage: time CASE | flood TARGET PRODUCERS SECONDS | paced TARGET RATE SECONDS")
}

var sink any

// discard takes every span.
type discard struct{}

func (discard) Append(*jaeger.Span) (int, error) { return 0, nil }
func (discard) Flush() (int, error)              { return 0, nil }
func (discard) Close() error                     { return nil }

// What waits for the reporter: its default, and so much that it drops nothing of a burst.
const (
	defaultQueue = 100
	burstQueue   = 4096
)

// counter is one of the client's metrics.
type counter struct{ atomic.Int64 }

func (c *counter) Inc(by int64) { c.Add(by) }

func start(sampled bool, queue int, sender jaeger.Transport, options ...jaeger.TracerOption) (opentracing.Tracer, func(), *counter) {
	dropped := &counter{}
	metrics := jaeger.NewNullMetrics()
	metrics.ReporterDropped, metrics.ReporterFailure = dropped, dropped
	reporter := jaeger.NewRemoteReporter(sender, jaeger.ReporterOptions.Metrics(metrics),
		jaeger.ReporterOptions.QueueSize(queue))
	tracer, closer := jaeger.NewTracer("peers", jaeger.NewConstSampler(sampled), reporter, options...)
	return tracer, func() { _ = closer.Close() }, dropped
}

// work gives one operation of a case, and how many are done between two rests.
func work(name string) (operation func(), operations int, stop func(), err error) {
	sampled := !strings.HasPrefix(name, "unsampled")
	var options []jaeger.TracerOption
	if name == "inject-b3" {
		b3 := zipkin.NewZipkinB3HTTPHeaderPropagator()
		options = append(options, jaeger.TracerOptions.Injector(opentracing.HTTPHeaders, b3),
			jaeger.TracerOptions.Extractor(opentracing.HTTPHeaders, b3))
	}
	tracer, stop, _ := start(sampled, burstQueue, discard{}, options...)
	operations = 200
	parent := tracer.StartSpan("GET /orders")
	method := strings.Clone("GET")
	switch name {
	case "unsampled", "root":
		operation = func() { tracer.StartSpan("GET /orders").Finish() }
	case "unsampled-context":
		operation = func() {
			span := tracer.StartSpan("GET /orders")
			sink = span.Context()
			span.Finish()
		}
	case "root-tags":
		operation = func() { rootWithTags(tracer) }
	case "child", "run-time-strings":
		operation = func() {
			span := tracer.StartSpan("SELECT", opentracing.ChildOf(parent.Context()))
			threeTags(span, method)
			span.LogFields(log.String("event", "cache miss"), log.Int("key", 42))
			span.Finish()
		}
	case "tree":
		operations = 20
		operation = func() { tree(tracer) }
	case "inject-jaeger", "inject-b3":
		context := parent.Context()
		operation = func() {
			headers := opentracing.TextMapCarrier{}
			_ = tracer.Inject(context, opentracing.HTTPHeaders, headers)
			sink, _ = tracer.Extract(opentracing.HTTPHeaders, headers)
		}
	case "inject-w3c":
		err = errors.New("no W3C")
	default:
		err = errors.New("its encoder is not public")
	}
	return operation, operations, stop, err
}

func rootWithTags(tracer opentracing.Tracer) {
	span := tracer.StartSpan("GET /orders")
	threeTags(span, "GET")
	span.Finish()
}

func threeTags(span opentracing.Span, method string) {
	span.SetTag("http.method", method)
	span.SetTag("http.status_code", 200)
	span.SetTag("error", false)
}

func tree(tracer opentracing.Tracer) {
	below := func(parent opentracing.Span) opentracing.Span {
		span := tracer.StartSpan("SELECT", opentracing.ChildOf(parent.Context()))
		threeTags(span, "GET")
		return span
	}
	root := tracer.StartSpan("GET /orders")
	threeTags(root, "GET")
	for range 3 {
		child := below(root)
		for range 2 {
			below(child).Finish()
		}
		child.Finish()
	}
	root.Finish()
}

func timed(name string) error {
	const bursts = 60
	operation, operations, stop, err := work(name)
	if err != nil {
		return err
	}
	defer stop()
	// Its reporter has no flush: its queue of 100 spans drains by itself.
	rest := func() { time.Sleep(2 * time.Millisecond) }
	for range 3 {
		for range operations {
			operation()
		}
		rest()
	}
	var nanos []float64
	for range bursts {
		begin := time.Now()
		for range operations {
			operation()
		}
		nanos = append(nanos, float64(time.Since(begin).Nanoseconds())/float64(operations))
		rest()
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range operations {
		operation()
	}
	runtime.ReadMemStats(&after)
	slices.Sort(nanos)
	fmt.Printf("ns=%.1f\nns_min=%.1f\n", nanos[bursts/2], nanos[0])
	fmt.Printf("allocations=%.2f\n", float64(after.Mallocs-before.Mallocs)/float64(operations))
	return nil
}

// step is how many spans are made between two looks at the clock or at the stop sign.
const step = 64

func flood(target, producers, seconds string) error {
	count, err := strconv.Atoi(producers)
	if err != nil {
		return err
	}
	return load(target, seconds, count, func(tracer opentracing.Tracer, stop *atomic.Bool) (started int) {
		for !stop.Load() {
			for range step {
				rootWithTags(tracer)
			}
			started += step
		}
		return started
	})
}

func paced(target, rate, seconds string) error {
	const producers = 2
	perSecond, err := strconv.Atoi(rate)
	if err != nil {
		return err
	}
	gap := time.Second * step * producers / time.Duration(perSecond)
	return load(target, seconds, producers, func(tracer opentracing.Tracer, stop *atomic.Bool) (started int) {
		begin := time.Now()
		for steps := time.Duration(1); !stop.Load(); steps++ {
			for range step {
				rootWithTags(tracer)
			}
			started += step
			time.Sleep(gap*steps - time.Since(begin))
		}
		return started
	})
}

func load(target, seconds string, producers int, produce func(opentracing.Tracer, *atomic.Bool) int) error {
	window, err := time.ParseDuration(seconds + "s")
	if err != nil {
		return err
	}
	if strings.HasPrefix(target, "http") {
		return errors.New("no OTLP")
	}
	sender, err := jaeger.NewUDPTransport(target, 0)
	if err != nil {
		return err
	}
	tracer, end, dropped := start(true, defaultQueue, sender)
	var stop atomic.Bool
	var started atomic.Int64
	var threads sync.WaitGroup
	cpu, begin := cpuSeconds(), time.Now()
	for range producers {
		threads.Add(1)
		go func() {
			defer threads.Done()
			started.Add(int64(produce(tracer, &stop)))
		}()
	}
	time.Sleep(window)
	stop.Store(true)
	threads.Wait()
	produced, closing := time.Since(begin), time.Now()
	end()
	fmt.Printf("started=%d\nseconds=%.3f\n", started.Load(), produced.Seconds())
	fmt.Printf("close_seconds=%.3f\ncpu_seconds=%.3f\n", time.Since(closing).Seconds(), cpuSeconds()-cpu)
	fmt.Printf("peak_kib=%d\n", peakKib())
	fmt.Printf("counted=%d\n", dropped.Load())
	return nil
}

func cpuSeconds() float64 {
	var usage syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e9
}

func peakKib() int64 {
	var usage syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return usage.Maxrss
}
