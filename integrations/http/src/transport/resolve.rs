//! From a host's name to its addresses.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;

/// The future of a resolver.
pub type Resolving = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>>;

/// Finds the addresses of hosts.
///
/// # Examples
///
/// ```
/// use jaeger_client_http::{HttpPool, Resolving};
/// let here = |_host: &str| -> Resolving {
///     Box::pin(async { Ok(vec![std::net::Ipv4Addr::LOCALHOST.into()]) })
/// };
/// let pool = HttpPool::builder().resolver(here).build();
/// ```
pub trait Resolve: Send + Sync + 'static {
    /// The addresses of a host, in the order they are to be tried. Not called for hosts that are
    /// addresses. No address at all counts as an error.
    fn resolve(&self, host: &str) -> Resolving;
}

impl<F: Fn(&str) -> Resolving + Send + Sync + 'static> Resolve for F {
    fn resolve(&self, host: &str) -> Resolving {
        self(host)
    }
}

/// Resolves by the operating system, on a thread of the runtime for blocking work.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "it has no options, the system has")]
pub struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve(&self, host: &str) -> Resolving {
        let host = host.to_owned();
        Box::pin(async move {
            let found = tokio::net::lookup_host((host, 0)).await?;
            let mut addresses: Vec<IpAddr> = Vec::new();
            for address in found.map(|address| address.ip()) {
                if !addresses.contains(&address) {
                    addresses.push(address);
                }
            }
            Ok(addresses)
        })
    }
}

impl fmt::Debug for dyn Resolve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Resolve")
    }
}

/// More addresses of a host than these are not tried.
pub(super) const MAX_ADDRESSES: usize = 32;
