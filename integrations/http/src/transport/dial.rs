//! A new connection: addresses, TCP, TLS, each with a timeout and each reported to the trace.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use super::Options;
use super::resolve::MAX_ADDRESSES;
use super::target::Target;
use crate::connection::Stream;
use crate::error::{Error, Phase};
use crate::trace::ClientTrace;

/// A moment at which to give up, and the time that was allowed until then.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline {
    pub(crate) at: Instant,
    pub(crate) limit: Duration,
}

impl Deadline {
    pub(crate) fn after(limit: Duration) -> Self {
        // Further away than anybody waits, and never past the end of time.
        let limit = limit.min(Duration::from_secs(365 * 24 * 3600));
        Self { at: Instant::now() + limit, limit }
    }

    /// The earlier one.
    pub(crate) fn or(self, other: Option<Self>) -> Self {
        other.filter(|other| other.at < self.at).unwrap_or(self)
    }

    /// Waits for `work`, but not longer.
    pub(crate) async fn within<T>(
        self,
        phase: Phase,
        work: impl Future<Output = T>,
    ) -> Result<T, Error> {
        let late = |_| Error::TimedOut { phase, limit: self.limit };
        timeout_at(self.at, work).await.map_err(late)
    }
}

/// The failure of a phase: an error, or the timeout.
enum Failure {
    Io(io::Error),
    Late(Error),
}

impl Failure {
    /// Returns the error for the trace.
    fn cause(&self) -> io::Error {
        match self {
            Self::Io(error) => io::Error::new(error.kind(), error.to_string()),
            Self::Late(error) => io::Error::new(io::ErrorKind::TimedOut, error.to_string()),
        }
    }

    fn into_error(self, from: impl FnOnce(io::Error) -> Error) -> Error {
        match self {
            Self::Io(error) => from(error),
            Self::Late(error) => error,
        }
    }
}

async fn limited<T>(
    deadline: Deadline,
    phase: Phase,
    work: impl Future<Output = io::Result<T>>,
) -> Result<T, Failure> {
    deadline.within(phase, work).await.map_err(Failure::Late)?.map_err(Failure::Io)
}

/// Connects to a target.
pub(super) async fn dial(
    options: &Options,
    target: &Target,
    trace: &dyn ClientTrace,
    overall: Option<Deadline>,
) -> Result<Stream, Error> {
    let deadline = Deadline::after(options.connect_timeout).or(overall);
    let addresses = match target.address() {
        Some(address) => vec![SocketAddr::new(address, target.port)],
        None if target.has_zone() => zoned(target, deadline).await?,
        None => resolve(options, target, trace, deadline).await?,
    };
    let stream = connect(&addresses, trace, deadline).await?;
    if !target.key.tls {
        return Ok(Stream::Plain(stream));
    }
    #[cfg(feature = "tls")]
    {
        let deadline = Deadline::after(options.tls_handshake_timeout).or(overall);
        handshake(options, target, stream, trace, deadline).await
    }
    #[cfg(not(feature = "tls"))]
    Err(Error::Url { url: target.key.host_port.clone(), reason: "https needs the feature `tls`" })
}

async fn resolve(
    options: &Options,
    target: &Target,
    trace: &dyn ClientTrace,
    deadline: Deadline,
) -> Result<Vec<SocketAddr>, Error> {
    trace.dns_start(&target.host);
    let found = limited(deadline, Phase::Resolve, options.resolver.resolve(&target.host)).await;
    let found = found.and_then(|mut addresses| {
        addresses.truncate(MAX_ADDRESSES);
        if addresses.is_empty() {
            let error = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
            return Err(Failure::Io(error));
        }
        Ok(addresses)
    });
    match found {
        Ok(addresses) => {
            trace.dns_done(Ok(&addresses));
            let address = |address| SocketAddr::new(address, target.port);
            Ok(addresses.into_iter().map(address).collect())
        }
        Err(failure) => {
            trace.dns_done(Err(&failure.cause()));
            let host = target.host.clone();
            Err(failure.into_error(|source| Error::Resolve { host, source }))
        }
    }
}

/// The address of a host that names one, and the interface of its zone.
async fn zoned(target: &Target, deadline: Deadline) -> Result<Vec<SocketAddr>, Error> {
    let found = tokio::net::lookup_host((target.host.as_str(), target.port));
    let found = limited(deadline, Phase::Resolve, found).await;
    let failed = |source| Error::Resolve { host: target.host.clone(), source };
    Ok(found.map_err(|failure| failure.into_error(failed))?.collect())
}

/// Tries the addresses in their order; of their errors, the first one counts, as in Go.
async fn connect(
    addresses: &[SocketAddr],
    trace: &dyn ClientTrace,
    deadline: Deadline,
) -> Result<TcpStream, Error> {
    let mut first = None;
    for (tried, &address) in addresses.iter().enumerate() {
        let share = share(deadline, addresses.len() - tried);
        trace.connect_start(NETWORK, address);
        match limited(share, Phase::Connect, TcpStream::connect(address)).await {
            Ok(stream) => {
                trace.connect_done(NETWORK, address, None);
                // As Go does; otherwise, small requests may wait for the response to others.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Err(failure) => {
                trace.connect_done(NETWORK, address, Some(&failure.cause()));
                first.get_or_insert_with(|| {
                    failure.into_error(|source| Error::Connect { address, source })
                });
            }
        }
        if Instant::now() >= deadline.at {
            break;
        }
    }
    Err(first.unwrap_or(Error::TimedOut { phase: Phase::Connect, limit: deadline.limit }))
}

const NETWORK: &str = "tcp";

/// The least time an address gets where there is that much.
const SHARE: Duration = Duration::from_secs(2);

/// The time for the next address, so that one without a response leaves some for the others.
///
/// # Source
///
/// `partialDeadline` in Go's net package.
fn share(deadline: Deadline, addresses: usize) -> Deadline {
    let left = deadline.at.saturating_duration_since(Instant::now());
    let parts = u32::try_from(addresses.max(1)).unwrap_or(u32::MAX);
    Deadline::after((left / parts).max(SHARE.min(left))).or(Some(deadline))
}

#[cfg(feature = "tls")]
async fn handshake(
    options: &Options,
    target: &Target,
    stream: TcpStream,
    trace: &dyn ClientTrace,
    deadline: Deadline,
) -> Result<Stream, Error> {
    use tokio_rustls::TlsConnector;
    use tokio_rustls::rustls::pki_types::ServerName;

    let Ok(name) = ServerName::try_from(target.server_name().to_owned()) else {
        let reason = "its host is no name that TLS can check";
        return Err(Error::Url { url: format!("https://{}", target.key.host_port), reason });
    };
    let host = || target.host.clone();
    let config = options.tls.get().map_err(|source| Error::Tls { host: host(), source })?;
    let connector = TlsConnector::from(config);
    trace.tls_handshake_start();
    match limited(deadline, Phase::Tls, connector.connect(name, stream)).await {
        Ok(stream) => {
            trace.tls_handshake_done(Ok(&super::tls::info(stream.get_ref().1)));
            Ok(Stream::Tls(Box::new(stream)))
        }
        Err(failure) => {
            trace.tls_handshake_done(Err(&failure.cause()));
            Err(failure.into_error(|source| Error::Tls { host: host(), source }))
        }
    }
}
