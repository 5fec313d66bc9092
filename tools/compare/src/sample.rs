//! Selects traces, reads them, and waits for copies of spans that are not stored yet.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::compare::{Comparison, Copies};
use crate::query::{Query, QueryError, Window};
use crate::span::{Ignored, Protocol, SpanKey, short_id};

/// The servers from which spans are read.
#[derive(Debug)]
pub(crate) enum Servers {
    /// One server that has both copies, which show their protocol.
    One(Query),
    /// A server for each protocol.
    Two {
        /// The server of Thrift.
        thrift: Query,
        /// The server of OTLP.
        otlp: Query,
    },
}

/// The selection of traces.
#[derive(Debug)]
pub(crate) struct Options {
    /// All services of the server, if empty.
    pub(crate) services: Vec<String>,
    pub(crate) lookback: Duration,
    pub(crate) traces: u32,
    pub(crate) wait: Duration,
    pub(crate) ignored: Ignored,
}

/// The traces that were read.
#[derive(Debug)]
pub(crate) struct Sampled {
    pub(crate) services: BTreeSet<String>,
    pub(crate) traces: u64,
    pub(crate) comparison: Comparison,
    /// The number of traces that the limits left out.
    pub(crate) notes: Vec<String>,
}

/// The hashes of a trace's spans that were stored by one protocol alone at the first reading.
struct Pending {
    trace_id: String,
    first_seen: BTreeSet<u64>,
}

impl Servers {
    fn all(&self) -> impl Iterator<Item = (&Query, Option<Protocol>)> {
        let (first, second) = match self {
            Self::One(one) => ((one, None), None),
            Self::Two { thrift, otlp } => {
                ((thrift, Some(Protocol::Thrift)), Some((otlp, Some(Protocol::Otlp))))
            }
        };
        [Some(first), second].into_iter().flatten()
    }

    /// Reads the copies of spans of these services in a trace.
    fn copies(&self, trace_id: &str, services: &BTreeSet<String>) -> Result<Copies, QueryError> {
        let mut copies = Copies::default();
        for (query, by_protocol) in self.all() {
            let Some(trace) = query.trace(trace_id)? else { continue };
            let of_services =
                trace.into_copies().filter(|(key, ..)| services.contains(&key.service));
            of_services.for_each(|(key, protocol, copy)| {
                copies.add(key, by_protocol.unwrap_or(protocol), copy)
            });
        }
        Ok(copies)
    }
}

/// Reads and compares.
///
/// # Errors
///
/// [`QueryError`] of the first request that fails, and of a service that the servers do not know.
pub(crate) fn run(servers: &Servers, options: &Options) -> Result<Sampled, QueryError> {
    let mut notes = Vec::new();
    let services = services(servers, &options.services)?;
    let ids = trace_ids(servers, &services, options, &mut notes)?;
    let mut comparison = Comparison::default();
    let mut pending = Vec::new();
    for id in &ids {
        let copies = servers.copies(id, &services)?;
        if copies.alone().next().is_some() {
            let first_seen = copies.keys().map(hash).collect();
            pending.push(Pending { trace_id: id.clone(), first_seen });
        } else {
            comparison.add(id, copies, &options.ignored);
        }
    }
    let deadline = Instant::now() + options.wait;
    while !pending.is_empty() {
        let is_last = Instant::now() >= deadline;
        let mut still = Vec::new();
        for Pending { trace_id, first_seen } in pending {
            let mut copies = servers.copies(&trace_id, &services)?;
            // Spans that were stored since then have had less time than the others.
            copies.retain(|key| first_seen.contains(&hash(key)));
            if is_last || copies.alone().next().is_none() {
                comparison.add(&trace_id, copies, &options.ignored);
            } else {
                still.push(Pending { trace_id, first_seen });
            }
        }
        pending = still;
        if !pending.is_empty() {
            thread::sleep(PAUSE.min(deadline.saturating_duration_since(Instant::now())));
        }
    }
    let traces = u64::try_from(ids.len()).unwrap_or(u64::MAX);
    Ok(Sampled { services, traces, comparison, notes })
}

/// Returns the services that are compared.
fn services(servers: &Servers, given: &[String]) -> Result<BTreeSet<String>, QueryError> {
    let mut known = BTreeSet::new();
    for (query, _) in servers.all() {
        known.extend(query.services()?);
    }
    if given.is_empty() {
        return Ok(known);
    }
    if let Some(name) = given.iter().find(|name| !known.contains(*name)) {
        let mut names: Vec<_> =
            known.iter().take(MAX_NAMES_SHOWN).map(|n| format!("{n:?}")).collect();
        if known.len() > names.len() {
            names.push(format!("{} more", known.len() - names.len()));
        }
        let known = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        return Err(QueryError::NoService { name: name.clone(), known });
    }
    Ok(given.iter().cloned().collect())
}

/// Returns the ids of traces to read: some of each service, and some of each of its operations.
fn trace_ids(
    servers: &Servers,
    services: &BTreeSet<String>,
    options: &Options,
    notes: &mut Vec<String>,
) -> Result<BTreeSet<String>, QueryError> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    let window = Window { start: micros(now.saturating_sub(options.lookback)), end: micros(now) };
    let mut ids: BTreeMap<String, String> = BTreeMap::new();
    for (query, _) in servers.all() {
        for service in services {
            let mut add = |found: Vec<String>| {
                ids.extend(found.into_iter().map(|id| (short_id(&id).to_owned(), id)));
            };
            add(query.search(service, None, window, options.traces)?);
            let operations = query.operations(service)?;
            if operations.len() > MAX_OPERATIONS {
                notes.push(format!(
                    "{service:?} has {} operations; traces were sought of {MAX_OPERATIONS} of them, \
                     and of the service as a whole",
                    operations.len(),
                ));
            }
            for operation in operations.iter().take(MAX_OPERATIONS) {
                add(query.search(service, Some(operation), window, TRACES_OF_AN_OPERATION)?);
            }
            if ids.len() > MAX_TRACES {
                notes.push(format!("no more than {MAX_TRACES} traces were read"));
                return Ok(ids.into_values().take(MAX_TRACES).collect());
            }
        }
    }
    Ok(ids.into_values().collect())
}

fn hash(key: &SpanKey) -> u64 {
    BuildHasherDefault::<DefaultHasher>::new().hash_one(key)
}

const PAUSE: Duration = Duration::from_secs(1);
const TRACES_OF_AN_OPERATION: u32 = 5;
const MAX_OPERATIONS: usize = 200;
const MAX_TRACES: usize = 20_000;
const MAX_NAMES_SHOWN: usize = 20;
