module jaeger-client.invalid/http/golden

go 1.26.0

require (
	github.com/opentracing-contrib/go-stdlib v1.1.1
	github.com/opentracing/opentracing-go v1.2.0
	golang.org/x/net v0.62.0
)
