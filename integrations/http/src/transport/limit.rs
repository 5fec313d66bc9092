//! The limit of concurrent connections to one host.

use std::collections::HashMap;
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Weak};
use std::task::Poll;

use parking_lot::Mutex;
use tokio::sync::futures::Notified;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use super::target::Key;

/// The connections to each host are as many as this, at most.
///
/// A connection holds a permit while it is being made or is in use. One that is idle holds none, but
/// another is only made where none is idle: so there are never more connections than permits.
#[derive(Debug)]
pub(super) struct ConnLimit {
    per_host: usize,
    hosts: Mutex<HashMap<Arc<Key>, Weak<Host>>>,
}

#[derive(Debug)]
pub(super) struct Host {
    permits: Arc<Semaphore>,
    /// There is a connection that can be shared.
    shared: Notify,
}

/// A permit for a connection, free again when it is dropped.
#[derive(Debug)]
pub(crate) struct ConnectionPermit {
    _permit: OwnedSemaphorePermit,
    _host: Arc<Host>,
}

impl ConnLimit {
    pub(super) fn new(per_host: usize) -> Self {
        Self { per_host: per_host.clamp(1, Semaphore::MAX_PERMITS), hosts: Mutex::default() }
    }

    pub(super) fn host(&self, key: &Arc<Key>) -> Arc<Host> {
        let mut hosts = self.hosts.lock();
        if let Some(host) = hosts.get(key).and_then(Weak::upgrade) {
            return host;
        }
        // Without connections, the host's entry is removed.
        hosts.retain(|_, host| host.strong_count() > 0);
        let permits = Arc::new(Semaphore::new(self.per_host));
        let host = Arc::new(Host { permits, shared: Notify::new() });
        hosts.insert(Arc::clone(key), Arc::downgrade(&host));
        host
    }

    /// Says that there is a connection to a host that can be shared.
    #[cfg(feature = "http2")]
    pub(super) fn share(&self, key: &Arc<Key>) {
        let host = self.hosts.lock().get(key).and_then(Weak::upgrade);
        if let Some(host) = host {
            host.shared.notify_waiters();
        }
    }
}

impl Host {
    /// Comes once there is another connection that can be shared.
    pub(super) fn shared(&self) -> Notified<'_> {
        self.shared.notified()
    }

    pub(super) fn try_acquire(self: &Arc<Self>) -> Option<ConnectionPermit> {
        let permit = Arc::clone(&self.permits).try_acquire_owned().ok()?;
        Some(self.taken(permit))
    }

    /// Waits for a permit. None if there is a connection to be shared before there is one.
    pub(super) async fn acquire(
        self: &Arc<Self>,
        shared: Notified<'_>,
    ) -> Option<ConnectionPermit> {
        let (mut shared, mut permit) =
            (pin!(shared), pin!(Arc::clone(&self.permits).acquire_owned()));
        std::future::poll_fn(|cx| match permit.as_mut().poll(cx) {
            Poll::Ready(permit) => Poll::Ready(permit.ok().map(|permit| self.taken(permit))),
            Poll::Pending => shared.as_mut().poll(cx).map(|()| None),
        })
        .await
    }

    fn taken(self: &Arc<Self>, permit: OwnedSemaphorePermit) -> ConnectionPermit {
        ConnectionPermit { _permit: permit, _host: Arc::clone(self) }
    }
}
