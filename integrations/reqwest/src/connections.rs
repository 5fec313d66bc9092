//! Connection events, as far as reqwest gives access to them.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};

use jaeger_client_http::{ConnectorLayer, TracedResolver};
use reqwest::ClientBuilder;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tower_service::Service;

/// Makes a client log name resolution and connections, as `DNSStart`, `DNSDone`, `ConnectStart` and
/// `ConnectDone`, to the span of [`JaegerMiddleware`](crate::JaegerMiddleware) for the request that dials.
///
/// The connection is reported with the TLS handshake and without an address, as reqwest shows no
/// more. A request without `ConnectStart` was sent over a connection that was there before. Names
/// are resolved by the system; for another resolver, use [`TracedDns`] and [`ConnectorLayer`] in
/// place of this.
///
/// # Examples
///
/// ```
/// let client = jaeger_client_reqwest::trace_connections(reqwest::Client::builder()).build()?;
/// # Ok::<(), reqwest::Error>(())
/// ```
pub fn trace_connections(builder: ClientBuilder) -> ClientBuilder {
    builder.dns_resolver(TracedDns::new(System)).connector_layer(ConnectorLayer::new())
}

/// A resolver of reqwest that logs name resolution to the span of the request that dials.
///
/// # Examples
///
/// ```
/// use jaeger_client_http::ConnectorLayer;
/// use jaeger_client_reqwest::TracedDns;
/// # fn client(own: impl reqwest::dns::Resolve + 'static) -> reqwest::Result<reqwest::Client> {
/// reqwest::Client::builder()
///     .dns_resolver(TracedDns::new(own))
///     .connector_layer(ConnectorLayer::new())
///     .build()
/// # }
/// ```
#[derive(Clone)]
pub struct TracedDns {
    resolver: TracedResolver<Lookup>,
}

impl TracedDns {
    /// Reports the events of `resolver`.
    #[must_use]
    pub fn new(resolver: impl Resolve + 'static) -> Self {
        Self { resolver: TracedResolver::new(Lookup(Arc::new(resolver))) }
    }
}

impl Resolve for TracedDns {
    fn resolve(&self, name: Name) -> Resolving {
        let found = self.resolver.clone().call(Named(name));
        Box::pin(async move { Ok(Box::new(found.await?) as Addrs) })
    }
}

impl fmt::Debug for TracedDns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TracedDns").finish_non_exhaustive()
    }
}

/// A name that can be shown.
struct Named(Name);

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

/// A resolver of reqwest as a service.
#[derive(Clone)]
struct Lookup(Arc<dyn Resolve>);

impl Service<Named> for Lookup {
    type Response = Addrs;
    type Error = Box<dyn std::error::Error + Send + Sync>;
    type Future = Resolving;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Named) -> Resolving {
        self.0.resolve(name.0)
    }
}

/// Resolves by the operating system, on a thread of the runtime for blocking work.
struct System;

impl Resolve for System {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            // Collected, so that the name need not be kept.
            let found: Vec<SocketAddr> = found.collect();
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}
