//! The settings of the client and the server layer.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use http::{Uri, request};
use jaeger_client::{Span, Tracer};

use crate::grpc::Call;
use crate::tags::{self, SemanticConventions};
use crate::url;

type Filter = Arc<dyn Fn(&request::Parts) -> bool + Send + Sync>;
type Operation = Arc<dyn Fn(&request::Parts) -> String + Send + Sync>;
type UrlTag = Arc<dyn Fn(&Uri) -> String + Send + Sync>;
type Observer = Arc<dyn Fn(&Span, &request::Parts) + Send + Sync>;

/// The options of a layer, and the tracer that starts its spans.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) tracer: Tracer,
    pub(crate) filter: Option<Filter>,
    pub(crate) operation: Option<Operation>,
    pub(crate) component: Option<Cow<'static, str>>,
    pub(crate) conventions: SemanticConventions,
    pub(crate) url_tag: Option<UrlTag>,
    pub(crate) observer: Option<Observer>,
    /// Whether a client writes its context to the headers.
    pub(crate) inject: bool,
    /// The scheme of a server's requests that do not say it.
    pub(crate) scheme: &'static str,
    /// Whether a server reads the scheme from what a proxy says.
    pub(crate) forwarded: bool,
}

impl Settings {
    pub(crate) fn new(tracer: Tracer) -> Self {
        Self {
            tracer,
            filter: None,
            operation: None,
            component: None,
            conventions: SemanticConventions::from_env(),
            url_tag: None,
            observer: None,
            inject: true,
            scheme: "http",
            forwarded: false,
        }
    }

    pub(crate) fn is_left_out(&self, request: &request::Parts) -> bool {
        self.filter.as_ref().is_some_and(|filter| !filter(request))
    }

    pub(crate) fn name(
        &self,
        request: &request::Parts,
        call: Option<&Call>,
        route: Option<&str>,
    ) -> Cow<'static, str> {
        let names = self.conventions;
        match (&self.operation, call, route) {
            (Some(operation), ..) => operation(request).into(),
            (None, Some(_), _) => tags::name_of_call(names.rpc, &request.uri).to_owned().into(),
            (None, None, Some(route)) => tags::name_of_route(&request.method, route).into(),
            (None, None, None) => tags::name_of_request(names.http, &request.method).into(),
        }
    }

    pub(crate) fn component(&self, call: Option<&Call>) -> &str {
        // Queries made for Go know them.
        let usual = if call.is_some() { "gRPC" } else { "net/http" };
        self.component.as_deref().unwrap_or(usual)
    }

    /// Returns the shown part of the URL.
    pub(crate) fn shown<'u>(&self, url: &'u Uri) -> Cow<'u, str> {
        match &self.url_tag {
            Some(url_tag) => url_tag(&url::public(url)).into(),
            None => url::shown(url),
        }
    }

    pub(crate) fn observe(&self, span: &Span, request: &request::Parts) {
        if let Some(observer) = &self.observer {
            observer(span, request);
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("tracer", &self.tracer)
            .field("component", &self.component)
            .field("conventions", &self.conventions)
            .field("inject", &self.inject)
            .finish_non_exhaustive()
    }
}

/// The options that both layers have.
macro_rules! options {
    ($layer:ty) => {
        impl $layer {
            /// A layer whose spans are started by `tracer`.
            #[must_use]
            pub fn new(tracer: Tracer) -> Self {
                Self { settings: Arc::new(Settings::new(tracer)) }
            }

            fn with(mut self, change: impl FnOnce(&mut Settings)) -> Self {
                change(Arc::make_mut(&mut self.settings));
                self
            }

            /// Sets which requests are traced: all by default. The others are handled as if there
            /// was no layer.
            ///
            /// # Source
            ///
            /// `MWSpanFilter`.
            #[must_use]
            pub fn filter(
                self,
                filter: impl Fn(&request::Parts) -> bool + Send + Sync + 'static,
            ) -> Self {
                self.with(|settings| settings.filter = Some(Arc::new(filter)))
            }

            /// Sets how spans are named: by default as by
            /// [`operation_name`](crate::operation_name), and those of gRPC calls by their method.
            /// Names must be few, whatever is requested: take a route, and not a path.
            ///
            /// # Source
            ///
            /// `OperationNameFunc`.
            #[must_use]
            pub fn operation_name(
                self,
                name: impl Fn(&request::Parts) -> String + Send + Sync + 'static,
            ) -> Self {
                self.with(|settings| settings.operation = Some(Arc::new(name)))
            }

            /// Sets the tag `component`: by default it is `net/http`, which queries made for Go know, and
            /// `gRPC` for calls.
            ///
            /// # Source
            ///
            /// `ComponentName`, `MWComponentName`.
            #[must_use]
            pub fn component_name(self, name: impl Into<Cow<'static, str>>) -> Self {
                self.with(|settings| settings.component = Some(name.into()))
            }

            /// Sets the naming conventions of tags: by default those of the environment.
            #[must_use]
            pub fn semantic_conventions(self, conventions: SemanticConventions) -> Self {
                self.with(|settings| settings.conventions = conventions)
            }

            /// Sets the part of a URL in the tag `http.url`: by default the result of
            /// [`redacted_url`](crate::redacted_url). The URL comes without userinfo, but with its
            /// query.
            ///
            /// # Source
            ///
            /// `URLTagFunc`, `MWURLTagFunc`.
            #[must_use]
            pub fn url_tag(self, tag: impl Fn(&Uri) -> String + Send + Sync + 'static) -> Self {
                self.with(|settings| settings.url_tag = Some(Arc::new(tag)))
            }

            /// Sets a function that is called with each span and its request, before it is handled or sent.
            ///
            /// # Source
            ///
            /// `ClientSpanObserver`, `MWSpanObserver`.
            #[must_use]
            pub fn span_observer(
                self,
                observer: impl Fn(&Span, &request::Parts) + Send + Sync + 'static,
            ) -> Self {
                self.with(|settings| settings.observer = Some(Arc::new(observer)))
            }
        }
    };
}

pub(crate) use options;
