//! Names and tags of spans from requests and responses: the one place where the client, the client
//! layer and the server layer write them.

mod conventions;
mod keys;

use http::{Method, StatusCode, Uri, Version, header, request};
use jaeger_client::tags::{ERROR, SpanKind};
use jaeger_client::{IntoTagValue, Span, SpanBuilder};

pub use self::conventions::{SemanticConventions, TagNames};
use self::keys::Key;
use crate::grpc::{self, Code};
use crate::operation::{is_unknown, operation_name};
use crate::url;

/// The side of a request that a span is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Client,
    Server,
}

/// A span about to be started, whose tags have names of one's choice.
struct Tagged<'t> {
    span: SpanBuilder<'t>,
    names: TagNames,
}

impl<'t> Tagged<'t> {
    fn tag(self, key: Key, value: impl IntoTagValue + Copy) -> Self {
        self.jaeger(key, value).opentelemetry(key, value)
    }

    fn jaeger(mut self, key: Key, value: impl IntoTagValue) -> Self {
        if self.names.has_jaeger() && !key.jaeger.is_empty() {
            self.span = self.span.tag(key.jaeger, value);
        }
        self
    }

    fn opentelemetry(mut self, key: Key, value: impl IntoTagValue) -> Self {
        if self.names.has_opentelemetry() && !key.opentelemetry.is_empty() {
            self.span = self.span.tag(key.opentelemetry, value);
        }
        self
    }

    fn method(self, method: &Method) -> Self {
        let this = self.jaeger(keys::METHOD, method.as_str());
        if is_unknown(method) {
            this.opentelemetry(keys::METHOD, "_OTHER")
                .opentelemetry(keys::METHOD_ORIGINAL, method.as_str())
        } else {
            this.opentelemetry(keys::METHOD, method.as_str())
        }
    }

    /// Sets the server from a client's URL.
    fn peer(self, url: &Uri) -> Self {
        let address = Some(url::peer_address(url)).filter(|address| !address.is_empty());
        self.jaeger(keys::PEER_ADDRESS, address).server(url.authority(), url.scheme_str())
    }

    /// Sets the requested server, at either side.
    fn server(self, authority: Option<&http::uri::Authority>, scheme: Option<&str>) -> Self {
        let Some(authority) = authority.filter(|_| self.names.has_opentelemetry()) else {
            return self;
        };
        self.opentelemetry(keys::PEER_ADDRESS, url::bare_host(authority))
            .opentelemetry(keys::SERVER_PORT, url::port(authority, scheme))
    }

    fn call(self, url: &Uri) -> Self {
        let this = self.tag(keys::RPC_SYSTEM, "grpc");
        let Some((service, method)) = grpc::method(url) else { return this };
        let this = this.jaeger(keys::RPC_SERVICE, service);
        if this.names.has_opentelemetry() {
            // The key is the same as Jaeger's, which gives way.
            let full = url.path().trim_start_matches('/');
            return this.opentelemetry(keys::RPC_METHOD, full);
        }
        this.jaeger(keys::RPC_METHOD, method)
    }
}

/// The initial tags of a client's span.
pub(crate) struct ClientRequest<'r> {
    pub(crate) component: &'r str,
    pub(crate) method: &'r Method,
    pub(crate) url: &'r Uri,
    /// The part of the URL that may be shown.
    pub(crate) shown: &'r str,
    /// How often the request was sent before.
    pub(crate) resends: usize,
}

pub(crate) fn of_client_request<'t>(
    span: SpanBuilder<'t>,
    names: TagNames,
    request: &ClientRequest<'_>,
) -> SpanBuilder<'t> {
    let url = request.url;
    Tagged { span: span.kind(SpanKind::Client), names }
        .jaeger(keys::COMPONENT, request.component)
        .method(request.method)
        .tag(keys::URL, request.shown)
        .peer(url)
        .opentelemetry(keys::RESEND_COUNT, Some(request.resends).filter(|count| *count > 0))
        .span
}

pub(crate) fn of_client_call<'t>(
    span: SpanBuilder<'t>,
    names: TagNames,
    component: &str,
    url: &Uri,
) -> SpanBuilder<'t> {
    let tagged = Tagged { span: span.kind(SpanKind::Client), names }
        .jaeger(keys::COMPONENT, component)
        .peer(url);
    tagged.call(url).span
}

pub(crate) fn of_server_request<'t>(
    span: SpanBuilder<'t>,
    names: TagNames,
    component: &str,
    request: &request::Parts,
    scheme: &str,
    shown: &str,
    route: Option<&str>,
) -> SpanBuilder<'t> {
    let mut tagged = Tagged { span: span.kind(SpanKind::Server), names }
        .method(&request.method)
        .jaeger(keys::URL, shown);
    if names.has_opentelemetry() {
        let (path, query) = path_and_query(shown);
        tagged = tagged.opentelemetry(keys::URL_PATH, path);
        let agent = request.headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok());
        tagged = tagged
            .opentelemetry(keys::URL_QUERY, query)
            .opentelemetry(keys::URL_SCHEME, scheme)
            .opentelemetry(keys::PROTOCOL_VERSION, version(request.version))
            .opentelemetry(keys::USER_AGENT, agent)
            .server(requested_host(request).as_ref(), Some(scheme));
    }
    // The route once: its key is the same.
    tagged.jaeger(keys::COMPONENT, component).span.tag(keys::ROUTE.jaeger, route)
}

pub(crate) fn of_server_call<'t>(
    span: SpanBuilder<'t>,
    names: TagNames,
    component: &str,
    request: &request::Parts,
    scheme: &str,
) -> SpanBuilder<'t> {
    let mut tagged =
        Tagged { span: span.kind(SpanKind::Server), names }.jaeger(keys::COMPONENT, component);
    if names.has_opentelemetry() {
        tagged = tagged.server(requested_host(request).as_ref(), Some(scheme));
    }
    tagged.call(&request.uri).span
}

/// Tags a span with its response's status, and marks it as failed if that is an error.
pub(crate) fn of_status(span: &Span, names: TagNames, role: Role, status: StatusCode) {
    set(span, names, keys::STATUS_CODE, status.as_u16());
    let client_error =
        names.has_opentelemetry() && role == Role::Client && status.is_client_error();
    if status.is_server_error() || client_error {
        of_error(span, names, status.as_str());
    }
}

/// Tags a client's span with what the response says of the connection.
pub(crate) fn of_version(span: &Span, names: TagNames, negotiated: Version) {
    if let Some(version) = version(negotiated).filter(|_| names.has_opentelemetry()) {
        span.set_tag(keys::PROTOCOL_VERSION.opentelemetry, version);
    }
}

/// Tags a span with how its call ended, and marks it as failed if that is an error.
pub(crate) fn of_code(span: &Span, names: TagNames, role: Role, code: Code) {
    if names.has_jaeger() {
        span.set_tag(keys::RPC_STATUS.jaeger, code.number());
    }
    if names.has_opentelemetry() {
        span.set_tag(keys::RPC_STATUS.opentelemetry, code.name());
    }
    if code.is_error(role) {
        of_error(span, names, code.name());
    }
}

/// Marks a span as failed, by an error of which there are few kinds.
pub(crate) fn of_error(span: &Span, names: TagNames, kind: &str) {
    span.set_tag(ERROR, true);
    if names.has_opentelemetry() {
        span.set_tag(keys::ERROR_TYPE.opentelemetry, kind);
    }
}

pub(crate) fn of_response_size(span: &Span, names: TagNames, bytes: u64) {
    set(span, names, keys::RESPONSE_SIZE, bytes);
}

fn set(span: &Span, names: TagNames, key: Key, value: impl IntoTagValue + Copy) {
    if names.has_jaeger() {
        span.set_tag(key.jaeger, value);
    }
    if names.has_opentelemetry() {
        span.set_tag(key.opentelemetry, value);
    }
}

/// The name of a request's span: few, whatever is sent.
pub(crate) fn name_of_request(names: TagNames, method: &Method) -> &'static str {
    let name = operation_name(method);
    match names {
        TagNames::OpenTelemetry => name.strip_prefix("HTTP ").unwrap_or(name),
        TagNames::Jaeger | TagNames::Both => name,
    }
}

/// The name of the span of a request whose route is known, `GET /users/{id}`. There are as many as there
/// are routes and methods that everybody knows.
pub(crate) fn name_of_route(method: &Method, route: &str) -> String {
    format!("{} {route}", name_of_request(TagNames::OpenTelemetry, method))
}

/// Tags a server's span with its route.
#[cfg(feature = "axum")]
pub(crate) fn of_route(span: &Span, route: &str) {
    span.set_tag(keys::ROUTE.jaeger, route);
}

/// The name of a call's span.
pub(crate) fn name_of_call(names: TagNames, url: &Uri) -> &str {
    if grpc::method(url).is_none() {
        return grpc::UNKNOWN_METHOD;
    }
    match names {
        TagNames::OpenTelemetry => url.path().trim_start_matches('/'),
        TagNames::Jaeger | TagNames::Both => url.path(),
    }
}

/// Returns the host by which a server was requested.
fn requested_host(request: &request::Parts) -> Option<http::uri::Authority> {
    request
        .uri
        .authority()
        .cloned()
        .or_else(|| request.headers.get(header::HOST)?.to_str().ok()?.parse().ok())
}

/// A URL that may be shown, in the parts that a server's span has.
fn path_and_query(shown: &str) -> (&str, Option<&str>) {
    let path = match shown.split_once("://") {
        Some((scheme, rest)) if !scheme.contains(['/', '?']) => {
            rest.find(['/', '?']).map_or("", |at| &rest[at..])
        }
        _ => shown,
    };
    path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)))
}

fn version(version: Version) -> Option<&'static str> {
    match version {
        Version::HTTP_10 => Some("1.0"),
        Version::HTTP_11 => Some("1.1"),
        Version::HTTP_2 => Some("2"),
        Version::HTTP_3 => Some("3"),
        _ => None,
    }
}
