//! The one table of tag keys: what Jaeger's and OpenTracing's users know a value by, and what
//! OpenTelemetry's conventions name it.

/// The keys of one value. Empty where a convention has none for it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key {
    pub(crate) jaeger: &'static str,
    pub(crate) opentelemetry: &'static str,
}

const fn key(jaeger: &'static str, opentelemetry: &'static str) -> Key {
    Key { jaeger, opentelemetry }
}

pub(crate) const COMPONENT: Key = key("component", "");
pub(crate) const METHOD: Key = key("http.method", "http.request.method");
pub(crate) const METHOD_ORIGINAL: Key = key("", "http.request.method_original");
pub(crate) const RESEND_COUNT: Key = key("", "http.request.resend_count");
/// At the client. The server's is split into path and query.
pub(crate) const URL: Key = key("http.url", "url.full");
pub(crate) const URL_PATH: Key = key("", "url.path");
pub(crate) const URL_QUERY: Key = key("", "url.query");
pub(crate) const URL_SCHEME: Key = key("", "url.scheme");
pub(crate) const ROUTE: Key = key("http.route", "http.route");
/// At the client, `host[:port]`, which OpenTelemetry splits.
pub(crate) const PEER_ADDRESS: Key = key("peer.address", "server.address");
pub(crate) const SERVER_PORT: Key = key("", "server.port");
pub(crate) const PROTOCOL_VERSION: Key = key("", "network.protocol.version");
pub(crate) const USER_AGENT: Key = key("", "user_agent.original");
pub(crate) const STATUS_CODE: Key = key("http.status_code", "http.response.status_code");
pub(crate) const RESPONSE_SIZE: Key = key("http.response_size", "http.response.body.size");
pub(crate) const ERROR_TYPE: Key = key("", "error.type");
pub(crate) const RPC_SYSTEM: Key = key("rpc.system", "rpc.system.name");
pub(crate) const RPC_SERVICE: Key = key("rpc.service", "");
/// The last part of the path for Jaeger, `package.Service/Method` for OpenTelemetry.
pub(crate) const RPC_METHOD: Key = key("rpc.method", "rpc.method");
/// A number for Jaeger, a name such as `NOT_FOUND` for OpenTelemetry.
pub(crate) const RPC_STATUS: Key = key("rpc.grpc.status_code", "rpc.response.status_code");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_readme_has_the_same_table() {
        let readme = include_str!("../../README.md");
        for Key { jaeger, opentelemetry } in [
            COMPONENT,
            METHOD,
            METHOD_ORIGINAL,
            RESEND_COUNT,
            URL,
            URL_PATH,
            URL_QUERY,
            URL_SCHEME,
            ROUTE,
            PEER_ADDRESS,
            SERVER_PORT,
            PROTOCOL_VERSION,
            USER_AGENT,
            STATUS_CODE,
            RESPONSE_SIZE,
            ERROR_TYPE,
            RPC_SYSTEM,
            RPC_SERVICE,
            RPC_METHOD,
            RPC_STATUS,
        ] {
            let cell = |key: &str| if key.is_empty() { "–".into() } else { format!("`{key}`") };
            let row = format!("| {} | {} |", cell(jaeger), cell(opentelemetry));
            assert!(readme.contains(&row), "no row {row}");
        }
    }
}
