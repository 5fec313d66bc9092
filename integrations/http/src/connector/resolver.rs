//! A resolver that reports its requests and results.

use std::fmt::{Debug, Display};
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tower_service::Service;

use super::dial::Lookup;

/// A resolver that wraps another one, such as hyper-util's `GaiResolver`, and logs `DNSStart` and
/// `DNSDone`, as in Go, to the span of [`ClientLayer`](crate::ClientLayer) for the request that dials.
///
/// Works with or without a [`TracedConnector`](super::TracedConnector) around.
///
/// # Examples
///
/// ```
/// use hyper_util::client::legacy::connect::{HttpConnector, dns::GaiResolver};
/// use jaeger_client_http::TracedResolver;
/// let connector = HttpConnector::new_with_resolver(TracedResolver::new(GaiResolver::new()));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct TracedResolver<R> {
    inner: R,
}

impl<R> TracedResolver<R> {
    /// Reports the events of `resolver`.
    pub const fn new(resolver: R) -> Self {
        Self { inner: resolver }
    }
}

impl<N, R> Service<N> for TracedResolver<R>
where
    N: Display,
    R: Service<N, Response: IntoIterator<Item = SocketAddr>, Error: Display>,
{
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = R::Error;
    type Future = ResolvingName<R::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), R::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, name: N) -> Self::Future {
        let lookup = Lookup::start(&name.to_string());
        ResolvingName { lookup, future: self.inner.call(name) }
    }
}

pin_project! {
    /// The future of the addresses of a [`TracedResolver`].
    #[must_use = "futures do nothing unless polled"]
    pub struct ResolvingName<F> {
        lookup: Lookup,
        #[pin]
        future: F,
    }
}

impl<F, A, E> Future for ResolvingName<F>
where
    F: Future<Output = Result<A, E>>,
    A: IntoIterator<Item = SocketAddr>,
    E: Display,
{
    type Output = Result<std::vec::IntoIter<SocketAddr>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let found = ready!(this.future.poll(cx)).map(Vec::from_iter);
        if this.lookup.is_wanted() {
            match &found {
                Ok(found) => {
                    let addresses: Vec<IpAddr> = found.iter().map(SocketAddr::ip).collect();
                    this.lookup.done(Ok(&addresses));
                }
                Err(error) => this.lookup.done(Err(&error.to_string())),
            }
        }
        Poll::Ready(found.map(Vec::into_iter))
    }
}

impl<F> Debug for ResolvingName<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ResolvingName").finish_non_exhaustive()
    }
}
