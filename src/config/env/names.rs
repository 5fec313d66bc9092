//! The names of all variables that are read.

pub(super) const SERVICE_NAME: &str = "JAEGER_SERVICE_NAME";
pub(super) const DISABLED: &str = "JAEGER_DISABLED";
pub(super) const RPC_METRICS: &str = "JAEGER_RPC_METRICS";
pub(super) const TRACE_ID_128BIT: &str = "JAEGER_TRACEID_128BIT";
pub(super) const TAGS: &str = "JAEGER_TAGS";
pub(super) const PROPAGATION: &str = "JAEGER_PROPAGATION";
pub(super) const SAMPLER_TYPE: &str = "JAEGER_SAMPLER_TYPE";
pub(super) const SAMPLER_PARAM: &str = "JAEGER_SAMPLER_PARAM";
pub(super) const SAMPLING_ENDPOINT: &str = "JAEGER_SAMPLING_ENDPOINT";
pub(super) const SAMPLER_MANAGER_HOST_PORT: &str = "JAEGER_SAMPLER_MANAGER_HOST_PORT";
pub(super) const SAMPLING_PATH: &str = "JAEGER_SAMPLER_SAMPLING_PATH";
pub(super) const SAMPLER_MAX_OPERATIONS: &str = "JAEGER_SAMPLER_MAX_OPERATIONS";
pub(super) const SAMPLER_REFRESH_INTERVAL: &str = "JAEGER_SAMPLER_REFRESH_INTERVAL";
pub(super) const MAX_QUEUE_SIZE: &str = "JAEGER_REPORTER_MAX_QUEUE_SIZE";
pub(super) const FLUSH_INTERVAL: &str = "JAEGER_REPORTER_FLUSH_INTERVAL";
pub(super) const LOG_SPANS: &str = "JAEGER_REPORTER_LOG_SPANS";
pub(super) const ENDPOINT: &str = "JAEGER_ENDPOINT";
pub(super) const USER: &str = "JAEGER_USER";
pub(super) const PASSWORD: &str = "JAEGER_PASSWORD";
pub(super) const AUTH_TOKEN: &str = "JAEGER_AUTH_TOKEN";
pub(super) const TIMEOUT: &str = "JAEGER_REPORTER_TIMEOUT";
pub(super) const AGENT_HOST: &str = "JAEGER_AGENT_HOST";
pub(super) const AGENT_PORT: &str = "JAEGER_AGENT_PORT";
pub(super) const AGENT_SOCKET_TYPE: &str = "JAEGER_AGENT_SOCKET_TYPE";
pub(super) const RECONNECTING_DISABLED: &str = "JAEGER_REPORTER_ATTEMPT_RECONNECTING_DISABLED";
pub(super) const RECONNECT_INTERVAL: &str = "JAEGER_REPORTER_ATTEMPT_RECONNECT_INTERVAL";
