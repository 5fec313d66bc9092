//! The names of all variables that are read.

use super::variable::Variable;

pub(super) const SERVICE_NAME: Variable = Variable::new("JAEGER_SERVICE_NAME");
pub(super) const DISABLED: Variable = Variable::new("JAEGER_DISABLED").older("JAEGER_DISABLE");
pub(super) const RPC_METRICS: Variable = Variable::new("JAEGER_RPC_METRICS");
pub(super) const TRACE_ID_128BIT: Variable = Variable::new("JAEGER_TRACEID_128BIT");
pub(super) const RECORD_BACKTRACES: Variable = Variable::new("JAEGER_RECORD_BACKTRACES");
pub(super) const TAGS: Variable = Variable::new("JAEGER_TAGS").list();
pub(super) const PROPAGATION: Variable = Variable::new("JAEGER_PROPAGATION").list();
pub(super) const TRACES_EXPORTER: Variable = Variable::new("JAEGER_TRACES_EXPORTER").list();
pub(super) const SAMPLER_TYPE: Variable = Variable::new("JAEGER_SAMPLER_TYPE");
pub(super) const SAMPLER_PARAM: Variable = Variable::new("JAEGER_SAMPLER_PARAM");
pub(super) const SAMPLING_ENDPOINT: Variable = Variable::new("JAEGER_SAMPLING_ENDPOINT");
pub(super) const SAMPLER_MANAGER_HOST_PORT: Variable =
    Variable::new("JAEGER_SAMPLER_MANAGER_HOST_PORT");
/// The next two are jaeger-client-node's older names of the one above.
pub(super) const SAMPLER_HOST: Variable = Variable::new("JAEGER_SAMPLER_HOST");
pub(super) const SAMPLER_PORT: Variable = Variable::new("JAEGER_SAMPLER_PORT");
pub(super) const SAMPLING_PATH: Variable = Variable::new("JAEGER_SAMPLER_SAMPLING_PATH");
pub(super) const SAMPLER_MAX_OPERATIONS: Variable = Variable::new("JAEGER_SAMPLER_MAX_OPERATIONS");
pub(super) const SAMPLER_REFRESH_INTERVAL: Variable =
    Variable::new("JAEGER_SAMPLER_REFRESH_INTERVAL");
pub(super) const MAX_QUEUE_SIZE: Variable = Variable::new("JAEGER_REPORTER_MAX_QUEUE_SIZE");
pub(super) const MAX_QUEUE_BYTES: Variable = Variable::new("JAEGER_REPORTER_MAX_QUEUE_BYTES");
pub(super) const FLUSH_INTERVAL: Variable = Variable::new("JAEGER_REPORTER_FLUSH_INTERVAL");
pub(super) const LOG_SPANS: Variable = Variable::new("JAEGER_REPORTER_LOG_SPANS");
pub(super) const ENDPOINT: Variable =
    Variable::new("JAEGER_ENDPOINT").older("JAEGER_REPORTER_ENDPOINT");
pub(super) const USER: Variable = Variable::new("JAEGER_USER").older("JAEGER_REPORTER_USER");
pub(super) const PASSWORD: Variable =
    Variable::new("JAEGER_PASSWORD").older("JAEGER_REPORTER_PASSWORD").secret();
pub(super) const AUTH_TOKEN: Variable = Variable::new("JAEGER_AUTH_TOKEN").secret();
pub(super) const TIMEOUT: Variable = Variable::new("JAEGER_REPORTER_TIMEOUT");
pub(super) const AGENT_HOST: Variable =
    Variable::new("JAEGER_AGENT_HOST").older("JAEGER_REPORTER_AGENT_HOST");
pub(super) const AGENT_PORT: Variable =
    Variable::new("JAEGER_AGENT_PORT").older("JAEGER_REPORTER_AGENT_PORT");
pub(super) const AGENT_SOCKET_TYPE: Variable = Variable::new("JAEGER_AGENT_SOCKET_TYPE");
pub(super) const RECONNECTING_DISABLED: Variable =
    Variable::new("JAEGER_REPORTER_ATTEMPT_RECONNECTING_DISABLED");
pub(super) const RECONNECT_INTERVAL: Variable =
    Variable::new("JAEGER_REPORTER_ATTEMPT_RECONNECT_INTERVAL");

/// All variables.
pub(super) const ALL: &[Variable] = &[
    SERVICE_NAME,
    DISABLED,
    RPC_METRICS,
    TRACE_ID_128BIT,
    RECORD_BACKTRACES,
    TAGS,
    PROPAGATION,
    TRACES_EXPORTER,
    SAMPLER_TYPE,
    SAMPLER_PARAM,
    SAMPLING_ENDPOINT,
    SAMPLER_MANAGER_HOST_PORT,
    SAMPLER_HOST,
    SAMPLER_PORT,
    SAMPLING_PATH,
    SAMPLER_MAX_OPERATIONS,
    SAMPLER_REFRESH_INTERVAL,
    MAX_QUEUE_SIZE,
    MAX_QUEUE_BYTES,
    FLUSH_INTERVAL,
    LOG_SPANS,
    ENDPOINT,
    USER,
    PASSWORD,
    AUTH_TOKEN,
    TIMEOUT,
    AGENT_HOST,
    AGENT_PORT,
    AGENT_SOCKET_TYPE,
    RECONNECTING_DISABLED,
    RECONNECT_INTERVAL,
];

pub(super) const OTEL_TRACES_EXPORTER: Variable = Variable::new("OTEL_TRACES_EXPORTER").list();
pub(super) const OTEL_SERVICE_NAME: Variable = Variable::new("OTEL_SERVICE_NAME");
pub(super) const OTEL_RESOURCE_ATTRIBUTES: Variable =
    Variable::new("OTEL_RESOURCE_ATTRIBUTES").list();
pub(super) const OTEL_PROPAGATORS: Variable = Variable::new("OTEL_PROPAGATORS").list();
pub(super) const OTEL_TRACES_SAMPLER: Variable = Variable::new("OTEL_TRACES_SAMPLER");
pub(super) const OTEL_TRACES_SAMPLER_ARG: Variable =
    Variable::new("OTEL_TRACES_SAMPLER_ARG").list();

/// An option of the exporter `otlp`: the variable for traces alone, and the one for all signals.
pub(super) type OtlpOption = [Variable; 2];

pub(super) const OTLP_ENDPOINT: OtlpOption = [
    Variable::new("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"),
    Variable::new("OTEL_EXPORTER_OTLP_ENDPOINT"),
];
pub(super) const OTLP_HEADERS: OtlpOption = [
    Variable::new("OTEL_EXPORTER_OTLP_TRACES_HEADERS").list().secret(),
    Variable::new("OTEL_EXPORTER_OTLP_HEADERS").list().secret(),
];
pub(super) const OTLP_TIMEOUT: OtlpOption = [
    Variable::new("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT"),
    Variable::new("OTEL_EXPORTER_OTLP_TIMEOUT"),
];
pub(super) const OTLP_PROTOCOL: OtlpOption = [
    Variable::new("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"),
    Variable::new("OTEL_EXPORTER_OTLP_PROTOCOL"),
];
pub(super) const OTLP_COMPRESSION: OtlpOption = [
    Variable::new("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION"),
    Variable::new("OTEL_EXPORTER_OTLP_COMPRESSION"),
];
pub(super) const OTLP_CERTIFICATE: OtlpOption = [
    Variable::new("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE"),
    Variable::new("OTEL_EXPORTER_OTLP_CERTIFICATE"),
];
pub(super) const OTLP_CLIENT_CERTIFICATE: OtlpOption = [
    Variable::new("OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE"),
    Variable::new("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE"),
];
pub(super) const OTLP_CLIENT_KEY: OtlpOption = [
    Variable::new("OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY"),
    Variable::new("OTEL_EXPORTER_OTLP_CLIENT_KEY"),
];

/// OpenTelemetry's variables that are read if an exporter is `otlp`.
pub(super) const WITH_OTLP: &[&[Variable]] = &[
    &[OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES, OTEL_PROPAGATORS],
    &[OTEL_TRACES_SAMPLER, OTEL_TRACES_SAMPLER_ARG],
    &OTLP_ENDPOINT,
    &OTLP_HEADERS,
    &OTLP_TIMEOUT,
    &OTLP_PROTOCOL,
    &OTLP_COMPRESSION,
    &OTLP_CERTIFICATE,
    &OTLP_CLIENT_CERTIFICATE,
    &OTLP_CLIENT_KEY,
];

/// Variables that are often set beside Jaeger's, for environments that can only be read by name.
pub(super) const OFTEN_SET: &[&str] = &[
    "OTEL_SERVICE_NAME",
    "OTEL_RESOURCE_ATTRIBUTES",
    "OTEL_SDK_DISABLED",
    "OTEL_PROPAGATORS",
    "OTEL_TRACES_EXPORTER",
    "OTEL_TRACES_SAMPLER",
    "OTEL_TRACES_SAMPLER_ARG",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_JAEGER_ENDPOINT",
    "OTEL_EXPORTER_JAEGER_AGENT_HOST",
    "OTEL_EXPORTER_JAEGER_AGENT_PORT",
];
