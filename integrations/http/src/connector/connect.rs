//! A connector that tells when it connects.

use std::any::Any;
use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::Uri;
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::dial::{self, Dial};
use crate::url;

/// A connector that wraps the one of any client, such as hyper-util's `HttpConnector`, and logs when it
/// connects, to the span of [`ClientLayer`](crate::ClientLayer) for the request that dials.
///
/// With a [`TracedResolver`](super::TracedResolver) inside, the name's resolution is reported as
/// well, and with a [`TracedTlsConnector`](super::TracedTlsConnector) outside, the TLS handshake.
///
/// # Shape and units
///
/// `ConnectStart` and `ConnectDone`, with `network` and, if it is known, `addr`, and an error as
/// `error.object`, as in Go. What cannot be distinguished:
///
/// - The attempts at the addresses of one host: they are one pair. `addr` is there if the host is an
///   address, or has one alone and the resolver is a `TracedResolver`.
/// - The resolution from the connection, if the resolver is not traced; TLS from the connection, if it
///   is done by the connector inside, as that of reqwest does.
/// - Whether the request used the connection it dialed: a client may give it another one that became
///   free first. A request without `ConnectStart` was sent over a connection that was there before.
/// - Dials that no request waits for: those of a `Channel` of tonic, which connects on a task of
///   its own, and what is left of a dial when its request has ended. They are not reported.
///
/// # Examples
///
/// ```
/// use http_body_util::Empty;
/// use hyper_util::client::legacy::Client;
/// use hyper_util::client::legacy::connect::HttpConnector;
/// use hyper_util::client::legacy::connect::dns::GaiResolver;
/// use hyper_util::rt::TokioExecutor;
/// use jaeger_client_http::{ClientLayer, TracedConnector, TracedResolver};
/// use tower_layer::Layer;
///
/// # let (tracer, _closer) = jaeger_client::Tracer::builder("svc").null_reporter().build()?;
/// let resolver = TracedResolver::new(GaiResolver::new());
/// let connector = TracedConnector::new(HttpConnector::new_with_resolver(resolver));
/// let client = Client::builder(TokioExecutor::new()).build::<_, Empty<bytes::Bytes>>(connector);
/// let client = ClientLayer::new(tracer).layer(client);
/// # Ok::<(), jaeger_client::ConfigError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct TracedConnector<C> {
    inner: C,
}

impl<C> TracedConnector<C> {
    /// Reports the events of `connector`.
    pub const fn new(connector: C) -> Self {
        Self { inner: connector }
    }
}

/// Makes a [`TracedConnector`] of a connector, for clients that take a layer.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct ConnectorLayer {}

impl ConnectorLayer {
    /// The layer, which has no options.
    #[must_use]
    pub const fn new() -> Self {
        Self {}
    }
}

impl<C> Layer<C> for ConnectorLayer {
    type Service = TracedConnector<C>;

    fn layer(&self, connector: C) -> TracedConnector<C> {
        TracedConnector::new(connector)
    }
}

impl<T: 'static, C: Service<T, Error: Debug>> Service<T> for TracedConnector<C> {
    type Response = C::Response;
    type Error = C::Error;
    type Future = Connecting<C::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), C::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, target: T) -> Self::Future {
        let dial = dial::begin(false);
        if let Some(dial) = &dial {
            // Clients that hide where they connect to have their own type.
            let target = (&target as &dyn Any).downcast_ref::<Uri>();
            if let Some((target, authority)) = target.and_then(|url| Some((url, url.authority()?)))
            {
                let address = url::bare_host(authority).parse().ok();
                dial.set_target(address, url::port(authority, target.scheme_str()));
            }
        }
        let future = dial::in_dial(dial.as_ref(), || self.inner.call(target));
        Connecting { dial, future }
    }
}

pin_project! {
    /// The future of a connection of a [`TracedConnector`].
    #[must_use = "futures do nothing unless polled"]
    #[derive(Debug)]
    pub struct Connecting<F> {
        dial: Option<Arc<Dial>>,
        #[pin]
        future: F,
    }
}

impl<F: Future<Output = Result<T, E>>, T, E: Debug> Future for Connecting<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let result = dial::in_dial(this.dial.as_ref(), || this.future.poll(cx));
        if let Some(dial) = &this.dial {
            match &result {
                // A name is resolved at once; if none was, it connects.
                Poll::Pending => dial.connect_start(),
                Poll::Ready(Ok(_)) => dial.connect_done(None),
                Poll::Ready(Err(error)) => dial.connect_done(Some(&format!("{error:?}"))),
            }
        }
        result
    }
}
