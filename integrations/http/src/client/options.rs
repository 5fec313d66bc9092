//! The options of a traced client, or of one request.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::{Uri, request};
use jaeger_client::Span;

use crate::tags::SemanticConventions;
use crate::trace::TraceMode;

type UrlTag = Arc<dyn Fn(&Uri) -> String + Send + Sync>;
type Observer = Arc<dyn Fn(&Span, &request::Parts) + Send + Sync>;

/// The options of `TraceRequest`, and of the client.
#[derive(Clone)]
pub(super) struct Options {
    pub(super) operation_name: Cow<'static, str>,
    pub(super) component_name: Cow<'static, str>,
    pub(super) conventions: SemanticConventions,
    pub(super) mode: TraceMode,
    pub(super) inject: bool,
    pub(super) url_tag: Option<UrlTag>,
    pub(super) observer: Option<Observer>,
    pub(super) timeout: Option<Duration>,
    pub(super) follow: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            operation_name: Cow::Borrowed("HTTP Client"),
            component_name: Cow::Borrowed("net/http"),
            conventions: SemanticConventions::from_env(),
            mode: TraceMode::Events,
            inject: true,
            url_tag: None,
            observer: None,
            timeout: None,
            follow: true,
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("operation_name", &self.operation_name)
            .field("component_name", &self.component_name)
            .field("conventions", &self.conventions)
            .field("mode", &self.mode)
            .field("inject", &self.inject)
            .field("timeout", &self.timeout)
            .field("follow", &self.follow)
            .finish_non_exhaustive()
    }
}

/// Defines the same options for all requests of a client, and for one of them.
macro_rules! options {
    ($type:ty, $options:ident) => {
        impl $type {
            /// Names the span of the whole request: `HTTP Client` by default. Those of the hops are
            /// named by [`operation_name`](crate::operation_name) in any case.
            pub fn operation_name(mut self, name: impl Into<Cow<'static, str>>) -> Self {
                self.$options.operation_name = name.into();
                self
            }

            /// The hops' tag `component`: `net/http` by default, which queries made for Go know.
            pub fn component_name(mut self, name: impl Into<Cow<'static, str>>) -> Self {
                self.$options.component_name = name.into();
                self
            }

            /// Sets the naming conventions of the hops' tags: by default those of the environment.
            pub fn semantic_conventions(mut self, conventions: SemanticConventions) -> Self {
                self.$options.conventions = conventions;
                self
            }

            /// Sets how events are recorded: by default as logs of the hop's span.
            pub fn client_trace(mut self, mode: TraceMode) -> Self {
                self.$options.mode = mode;
                self
            }

            /// Sets whether the hop's context is written to the headers of its request: by default
            /// it is. Disable it for untrusted servers.
            pub fn inject_span_context(mut self, inject: bool) -> Self {
                self.$options.inject = inject;
                self
            }

            /// Sets the part of a URL in the hop's tag `http.url`: by default the result of
            /// [`redacted_url`](crate::redacted_url). The URL comes without userinfo, but with its
            /// query.
            pub fn url_tag(mut self, tag: impl Fn(&Uri) -> String + Send + Sync + 'static) -> Self {
                self.$options.url_tag = Some(Arc::new(tag));
                self
            }

            /// Sets a function that is called with each hop's span and request, before it is sent.
            pub fn span_observer(
                mut self,
                observer: impl Fn(&Span, &request::Parts) + Send + Sync + 'static,
            ) -> Self {
                self.$options.observer = Some(Arc::new(observer));
                self
            }

            /// Sets the timeout of a request with all of its hops and the body of the response.
            /// Without it, only the pool's timeouts for each phase apply.
            pub fn timeout(mut self, limit: Duration) -> Self {
                self.$options.timeout = Some(limit);
                self
            }

            /// Sets whether redirects are followed, up to 10 requests: by default they are.
            pub fn follow_redirects(mut self, follow: bool) -> Self {
                self.$options.follow = follow;
                self
            }
        }
    };
}

options!(super::TracedClientBuilder, options);
options!(super::TracedRequest<'_>, options);
