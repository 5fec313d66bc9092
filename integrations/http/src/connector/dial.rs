//! The link from a connector to the span of the request that dials.
//!
//! Clients poll a connection that a request has to wait for within that request, and only later,
//! when the request got another one, on its own task. So the request is stored for the thread
//! while it is polled, taken by the connector where it is called, and stored in the connector's
//! future. Nothing is logged to a span after its end.

use std::cell::RefCell;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use jaeger_client::Span;
use parking_lot::Mutex;

use crate::trace::events;

/// The span of a request, as long as events of connections may be logged to it.
#[derive(Clone, Debug)]
pub(crate) struct DialLog {
    span: Arc<Mutex<Option<Span>>>,
}

impl DialLog {
    pub(crate) fn new(span: &Span) -> Self {
        Self { span: Arc::new(Mutex::new(Some(span.clone()))) }
    }

    fn log(&self, event: impl FnOnce(&Span)) {
        // Logged under the lock, so that the span does not end in between: only that waits for the lock.
        if let Some(span) = &*self.span.lock() {
            event(span);
        }
    }

    /// Stops logging.
    pub(crate) fn close(&self) {
        let _span = self.span.lock().take();
    }
}

/// A connection that is being made.
#[derive(Debug)]
pub(super) struct Dial {
    log: DialLog,
    /// Whether a TLS handshake follows the connection.
    tls: bool,
    progress: Mutex<Progress>,
}

#[derive(Debug, Default)]
struct Progress {
    /// The address, if there is but one that may be tried.
    address: Option<SocketAddr>,
    port: Option<u16>,
    resolving: bool,
    connecting: bool,
    connected: bool,
}

impl Progress {
    fn is_at(&mut self, address: Option<IpAddr>) {
        self.address = address.zip(self.port).map(SocketAddr::from);
    }
}

const NETWORK: &str = "tcp";

impl Dial {
    fn new(log: DialLog, tls: bool) -> Arc<Self> {
        Arc::new(Self { log, tls, progress: Mutex::default() })
    }

    /// Where it goes: the address, if the host is one, and the port.
    pub(super) fn set_target(&self, address: Option<IpAddr>, port: Option<u16>) {
        let mut progress = self.progress.lock();
        progress.port = port;
        progress.is_at(address);
    }

    fn dns_start(&self, host: &str) {
        self.progress.lock().resolving = true;
        self.log.log(|span| events::dns_start(span, host));
    }

    fn dns_done(&self, found: Result<&[IpAddr], &str>) {
        self.log.log(|span| events::dns_done(span, found));
        let Ok([first, others @ ..]) = found else { return };
        {
            let mut progress = self.progress.lock();
            progress.resolving = false;
            // Of several it cannot be seen which one is tried.
            progress.is_at(Some(*first).filter(|_| others.is_empty()));
        }
        self.connect_start();
    }

    /// Records that an address is tried, unless its name is still resolved or that is recorded.
    pub(super) fn connect_start(&self) {
        let address = {
            let mut progress = self.progress.lock();
            if progress.resolving || progress.connecting {
                return;
            }
            progress.connecting = true;
            progress.address
        };
        self.log.log(|span| events::connect_start(span, NETWORK, address));
    }

    pub(super) fn connect_done(&self, error: Option<&str>) {
        self.connect_start();
        let address = {
            let mut progress = self.progress.lock();
            if !progress.connecting {
                return; // without an address, nothing was tried
            }
            progress.connected = error.is_none();
            progress.address
        };
        self.log.log(|span| {
            events::connect_done(span, NETWORK, address, error);
            if self.tls && error.is_none() {
                span.log_event("TLSHandshakeStart");
            }
        });
    }

    pub(super) fn tls_done(&self, error: Option<&str>) {
        if !self.tls || !self.progress.lock().connected {
            return;
        }
        self.log.log(|span| match error {
            None => {
                span.log_event("TLSHandshakeDone");
            }
            Some(error) => events::tls_handshake_failed(span, error),
        });
    }
}

/// The dial in progress on this thread.
#[derive(Clone)]
enum Current {
    Request(DialLog),
    Dial(Arc<Dial>),
}

thread_local! {
    static CURRENT: RefCell<Option<Current>> = const { RefCell::new(None) };
}

/// The previous dial, restored when this is dropped.
struct Restored(Option<Current>);

impl Drop for Restored {
    fn drop(&mut self) {
        swap(&mut self.0);
    }
}

fn swap(other: &mut Option<Current>) {
    // A thread that is being torn down has none any more. What is swapped out is dropped elsewhere.
    let _ = CURRENT.try_with(|current| std::mem::swap(&mut *current.borrow_mut(), other));
}

fn within<T>(current: Current, work: impl FnOnce() -> T) -> T {
    let mut restored = Restored(Some(current));
    swap(&mut restored.0);
    work()
}

fn current() -> Option<Current> {
    CURRENT.try_with(|current| current.borrow().clone()).ok().flatten()
}

/// Runs `work` as a part of a request.
pub(crate) fn in_request<T>(log: &DialLog, work: impl FnOnce() -> T) -> T {
    within(Current::Request(log.clone()), work)
}

/// Runs `work` as a part of a dial.
pub(super) fn in_dial<T>(dial: Option<&Arc<Dial>>, work: impl FnOnce() -> T) -> T {
    match dial {
        Some(dial) => within(Current::Dial(Arc::clone(dial)), work),
        None => work(),
    }
}

/// A dial of the request that is going on. A connector within another one takes part in its dial.
pub(super) fn begin(tls: bool) -> Option<Arc<Dial>> {
    Some(match current()? {
        Current::Request(log) => Dial::new(log, tls),
        Current::Dial(dial) => dial,
    })
}

/// The events of a name's resolution.
pub(super) struct Lookup(Option<Current>);

impl Lookup {
    pub(super) fn start(host: &str) -> Self {
        let current = current();
        match &current {
            Some(Current::Dial(dial)) => dial.dns_start(host),
            Some(Current::Request(log)) => log.log(|span| events::dns_start(span, host)),
            None => {}
        }
        Self(current)
    }

    pub(super) fn is_wanted(&self) -> bool {
        self.0.is_some()
    }

    pub(super) fn done(&self, found: Result<&[IpAddr], &str>) {
        match &self.0 {
            Some(Current::Dial(dial)) => dial.dns_done(found),
            Some(Current::Request(log)) => log.log(|span| events::dns_done(span, found)),
            None => {}
        }
    }
}
