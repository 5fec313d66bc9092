//! What the layer does otherwise than usual.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use http::{Uri, request};
use jaeger_client::Span;

use super::TraceLayer;

type Filter = Arc<dyn Fn(&request::Parts) -> bool + Send + Sync>;
type Operation = Arc<dyn Fn(&request::Parts) -> String + Send + Sync>;
type UrlTag = Arc<dyn Fn(&Uri) -> String + Send + Sync>;
type Observer = Arc<dyn Fn(&Span, &request::Parts) + Send + Sync>;

#[derive(Clone)]
pub(super) struct Options {
    pub(super) filter: Option<Filter>,
    pub(super) operation: Option<Operation>,
    pub(super) component: Cow<'static, str>,
    pub(super) url_tag: Option<UrlTag>,
    pub(super) observer: Option<Observer>,
}

impl Default for Options {
    fn default() -> Self {
        let component = Cow::Borrowed("net/http");
        Self { filter: None, operation: None, component, url_tag: None, observer: None }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options").field("component", &self.component).finish_non_exhaustive()
    }
}

impl TraceLayer {
    /// Which requests are spans: all by default. The others are handled as if there was no layer.
    ///
    /// # Source
    ///
    /// `MWSpanFilter`.
    #[must_use]
    pub fn filter(self, filter: impl Fn(&request::Parts) -> bool + Send + Sync + 'static) -> Self {
        self.with(|options| options.filter = Some(Arc::new(filter)))
    }

    /// Names the spans: as [`operation_name`](crate::operation_name) does by default. Names must be
    /// few, whatever is asked for: take a route, and not a path.
    ///
    /// # Source
    ///
    /// `OperationNameFunc`.
    #[must_use]
    pub fn operation_name(
        self,
        name: impl Fn(&request::Parts) -> String + Send + Sync + 'static,
    ) -> Self {
        self.with(|options| options.operation = Some(Arc::new(name)))
    }

    /// The tag `component`: `net/http` by default, which queries made for Go know.
    ///
    /// # Source
    ///
    /// `MWComponentName`.
    #[must_use]
    pub fn component_name(self, name: impl Into<Cow<'static, str>>) -> Self {
        self.with(|options| options.component = name.into())
    }

    /// What of a URL is shown in the tag `http.url`: what
    /// [`redacted_url`](crate::redacted_url) makes of it by default. The URL comes without userinfo,
    /// but with its query.
    ///
    /// # Source
    ///
    /// `MWURLTagFunc`.
    #[must_use]
    pub fn url_tag(self, tag: impl Fn(&Uri) -> String + Send + Sync + 'static) -> Self {
        self.with(|options| options.url_tag = Some(Arc::new(tag)))
    }

    /// Is shown each span and its request, before it is handled.
    ///
    /// # Source
    ///
    /// `MWSpanObserver`.
    #[must_use]
    pub fn span_observer(
        self,
        observer: impl Fn(&Span, &request::Parts) + Send + Sync + 'static,
    ) -> Self {
        self.with(|options| options.observer = Some(Arc::new(observer)))
    }
}
