//! Connections that wait for their next request.

use std::collections::HashMap;
#[cfg(feature = "http2")]
use std::future::Future;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep};

use super::limit::{ConnLimit, Host};
use super::target::Key;
use crate::connection::Connection;
#[cfg(feature = "http2")]
use crate::connection::Shared;
use crate::trace::PutIdleError;

/// Idle connections, bounded in number and in time.
#[derive(Debug)]
pub(super) struct Pool {
    idle: Mutex<Idle>,
    limits: Limits,
    connections: Option<ConnLimit>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) per_host: usize,
    pub(super) in_all: usize,
    pub(super) idle_timeout: Duration,
    /// The maximum number of connections to a host.
    pub(super) connections: Option<usize>,
}

#[derive(Debug, Default)]
struct Idle {
    hosts: HashMap<Arc<Key>, Vec<Parked>>,
    count: usize,
    /// Whether a task closes connections that have been idle for too long.
    swept: bool,
    /// Connections of HTTP/2, which serve many requests at once.
    #[cfg(feature = "http2")]
    shared: HashMap<Arc<Key>, Http2Host>,
}

/// A host that speaks HTTP/2.
#[cfg(feature = "http2")]
#[derive(Debug, Default)]
struct Http2Host {
    connection: Option<Shared>,
    /// Locked while a connection is made.
    dialing: Arc<tokio::sync::Mutex<()>>,
}

/// Held while a connection is made that can be shared; others wait for it meanwhile.
#[cfg(feature = "http2")]
pub(super) type Dialing = tokio::sync::OwnedMutexGuard<()>;

#[derive(Debug)]
struct Parked {
    connection: Connection,
    since: Instant,
}

impl Pool {
    pub(super) fn new(limits: Limits) -> Arc<Self> {
        let connections = limits.connections.map(ConnLimit::new);
        Arc::new(Self { idle: Mutex::default(), limits, connections })
    }

    /// Returns the limit of connections to the host, if there is one.
    pub(super) fn host(&self, key: &Arc<Key>) -> Option<Arc<Host>> {
        self.connections.as_ref().map(|connections| connections.host(key))
    }

    /// A live connection, and for how long it was idle: the one that was used last.
    pub(super) async fn take(&self, key: &Key) -> Option<(Connection, Duration)> {
        loop {
            let mut parked = self.idle.lock().pop(key)?;
            let idle = parked.since.elapsed();
            // Out of the lock: to look whether it is alive is I/O.
            if idle < self.limits.idle_timeout && parked.connection.is_alive().await {
                return Some((parked.connection, idle));
            }
        }
    }

    /// Keeps a connection for the next request.
    pub(super) fn put(
        self: &Arc<Self>,
        key: &Arc<Key>,
        mut connection: Connection,
    ) -> Result<(), PutIdleError> {
        // Free once the connection can be found, and not before.
        let _permit = connection.permit.take();
        let parked = Parked { connection, since: Instant::now() };
        let (refused, evicted) = {
            let mut idle = self.idle.lock();
            let host = idle.hosts.entry(Arc::clone(key)).or_default();
            if host.len() >= self.limits.per_host {
                (Some(parked), None)
            } else {
                host.push(parked);
                idle.count += 1;
                let full = idle.count > self.limits.in_all;
                (None, if full { idle.pop_oldest() } else { None })
            }
        };
        // Closed out of the lock.
        drop(evicted);
        if refused.is_some() {
            return Err(PutIdleError::TooManyForHost);
        }
        self.sweep();
        Ok(())
    }

    /// Has a task end what is idle for too long, unless there is one.
    fn sweep(self: &Arc<Self>) {
        // Without a runtime the next request finds out.
        let Ok(runtime) = Handle::try_current() else { return };
        if std::mem::replace(&mut self.idle.lock().swept, true) {
            return;
        }
        let sweeper = Sweeper { pool: Arc::downgrade(self) };
        runtime.spawn(sweeper.run(self.limits.idle_timeout));
    }

    /// Removes expired connections. Returns `None` if nothing is left.
    fn expired(&self) -> Option<Vec<Connection>> {
        let mut idle = self.idle.lock();
        let mut expired = Vec::new();
        let limit = self.limits.idle_timeout;
        idle.hosts.retain(|_, host| {
            let old = host.extract_if(.., |parked| parked.since.elapsed() >= limit);
            expired.extend(old.map(|parked| parked.connection));
            !host.is_empty()
        });
        idle.count -= expired.len();
        #[cfg(feature = "http2")]
        idle.shared.retain(|_, host| {
            host.connection.take_if(|connection| !connection.is_wanted(limit));
            host.connection.is_some() || Arc::strong_count(&host.dialing) > 1
        });
        let more = idle.count > 0;
        #[cfg(feature = "http2")]
        let more = more || !idle.shared.is_empty();
        (more || !expired.is_empty()).then_some(expired)
    }

    /// A live connection of HTTP/2.
    #[cfg(feature = "http2")]
    pub(super) async fn shared(&self, key: &Key) -> Option<Shared> {
        loop {
            let shared = self.idle.lock().shared.get(key)?.connection.clone()?;
            if shared.is_alive().await {
                return Some(shared);
            }
            self.remove(key, &shared);
        }
    }

    /// Has no other request use this connection.
    #[cfg(feature = "http2")]
    pub(super) fn remove(&self, key: &Key, shared: &Shared) {
        let mut idle = self.idle.lock();
        let host = idle.shared.get_mut(key);
        let _closed = host.and_then(|host| host.connection.take_if(|other| other.is(shared)));
    }

    /// Returns whether the host speaks HTTP/2, as far as is known; and the exclusive right to connect to
    /// it, or else a way to wait until the connection of another task is there.
    #[cfg(feature = "http2")]
    pub(super) fn dialing(&self, key: &Key) -> Option<Result<Dialing, impl Future<Output = ()>>> {
        let dialing = Arc::clone(&self.idle.lock().shared.get(key)?.dialing);
        let right = Arc::clone(&dialing).try_lock_owned();
        Some(right.map_err(|_| async move { drop(dialing.lock().await) }))
    }

    /// Keeps a connection of HTTP/2 that is in use.
    #[cfg(feature = "http2")]
    pub(super) fn share(self: &Arc<Self>, key: &Arc<Key>, shared: Shared) {
        let replaced = {
            let mut idle = self.idle.lock();
            idle.shared.entry(Arc::clone(key)).or_default().connection.replace(shared)
        };
        drop(replaced);
        if let Some(connections) = &self.connections {
            connections.share(key);
        }
        self.sweep();
    }
}

impl Idle {
    fn pop(&mut self, key: &Key) -> Option<Parked> {
        let parked = self.hosts.get_mut(key)?.pop()?;
        self.count -= 1;
        Some(parked)
    }

    fn pop_oldest(&mut self) -> Option<Parked> {
        let oldest = self.hosts.values_mut().filter(|host| !host.is_empty());
        let host = oldest.min_by_key(|host| host.first().map(|parked| parked.since))?;
        self.count -= 1;
        Some(host.remove(0))
    }
}

/// Ends idle connections in time. It does not keep the pool alive.
struct Sweeper {
    pool: Weak<Pool>,
}

impl Sweeper {
    async fn run(self, idle_timeout: Duration) {
        let pause = (idle_timeout / 4).clamp(Duration::from_millis(10), Duration::from_secs(5));
        loop {
            sleep(pause).await;
            let Some(expired) = self.pool.upgrade().and_then(|pool| pool.expired()) else { break };
            drop(expired);
        }
    }
}

impl Drop for Sweeper {
    /// At its end, and when its runtime ends: another one may be started then.
    fn drop(&mut self) {
        if let Some(pool) = self.pool.upgrade() {
            pool.idle.lock().swept = false;
        }
    }
}
