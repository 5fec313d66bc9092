//! A connector that reports its TLS handshake.

use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::Uri;
use http::uri::Scheme;
use pin_project_lite::pin_project;
use tower_service::Service;

use super::dial::{self, Dial};

/// A connector that wraps one for `https`, such as that of hyper-rustls around a
/// [`TracedConnector`](super::TracedConnector), and logs when the TLS handshake begins and ends, to the
/// span of the request that dials.
///
/// Without a `TracedConnector` inside it logs nothing, as it cannot see where the connection ends and
/// the handshake begins.
///
/// # Shape and units
///
/// `TLSHandshakeStart`, and `TLSHandshakeDone` with an error as `error.object`. What was agreed on,
/// version and ALPN, cannot be seen. It is assumed that a handshake takes place for `https` alone.
///
/// # Examples
///
/// ```
/// use jaeger_client_http::{TracedConnector, TracedResolver, TracedTlsConnector};
/// # use hyper_util::client::legacy::connect::{HttpConnector, dns::GaiResolver};
/// # fn wrap_connector<C>(connector: C) -> C { connector }
///
/// let mut http = HttpConnector::new_with_resolver(TracedResolver::new(GaiResolver::new()));
/// http.enforce_http(false);
/// // hyper_rustls::HttpsConnectorBuilder::new()….wrap_connector(…)
/// let https = wrap_connector(TracedConnector::new(http));
/// let connector = TracedTlsConnector::new(https);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct TracedTlsConnector<C> {
    inner: C,
}

impl<C> TracedTlsConnector<C> {
    /// Reports the events of `connector`.
    pub const fn new(connector: C) -> Self {
        Self { inner: connector }
    }
}

impl<C: Service<Uri, Error: Debug>> Service<Uri> for TracedTlsConnector<C> {
    type Response = C::Response;
    type Error = C::Error;
    type Future = TlsConnecting<C::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), C::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, target: Uri) -> Self::Future {
        let dial = dial::begin(target.scheme() == Some(&Scheme::HTTPS));
        let future = dial::in_dial(dial.as_ref(), || self.inner.call(target));
        TlsConnecting { dial, future }
    }
}

pin_project! {
    /// The future of a connection of a [`TracedTlsConnector`].
    #[must_use = "futures do nothing unless polled"]
    #[derive(Debug)]
    pub struct TlsConnecting<F> {
        dial: Option<Arc<Dial>>,
        #[pin]
        future: F,
    }
}

impl<F: Future<Output = Result<T, E>>, T, E: Debug> Future for TlsConnecting<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let result = dial::in_dial(this.dial.as_ref(), || this.future.poll(cx));
        if let (Some(dial), Poll::Ready(result)) = (&this.dial, &result) {
            let error = result.as_ref().err().map(|error| format!("{error:?}"));
            dial.tls_done(error.as_deref());
        }
        result
    }
}
