//! Replay of saved batches.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use crossbeam_channel::bounded;
use parking_lot::Mutex;

use super::destination::Destination;
use super::exporter::{Exporter, ExporterOptions};
use super::options::SendOptions;
use super::saver::{SaveSpans, batches};
use crate::buffers::{QueueLimits, ShardedBuffers};
use crate::diag::{Diagnostics, Logger, StderrLogger};
use crate::encoding::{BatchView, List};
use crate::error::ConfigError;
use crate::fork::ProcessOrigin;
use crate::saved::{Record, SavedBatchesError, SavedFile};
use crate::stats::{DestinationStats, Dropped};
use crate::transport::{CloseSignal, MAX_PACKET_BYTES};

/// Sends the spans in a file of [saved batches](crate::SavedBatchesConfig) to a destination.
///
/// Spans that the destination accepts, or refuses for good, are removed from the file, and the rest
/// stays in it, for another try: the first batch that cannot be sent ends the attempt. An empty
/// file is removed. If the process ends meanwhile, at most one batch is sent again by the next
/// replay.
///
/// The spans of a batch that the server may have received before, because it did not respond before
/// the tracer was closed, are counted as [possible duplicates](ReplayReport::possible_duplicates).
///
/// # Cost
///
/// Waits for the destination as a tracer's own thread would, as long as its configuration allows
/// retries.
///
/// # Errors
///
/// [`SavedBatchesError`] for a file that cannot be opened, has another format, or has spans of
/// several destinations (see [`ReplayOptions::only`]), and for a destination that cannot be used.
/// Nothing was sent then. A file that is damaged later on is sent up to there:
/// [`ReplayReport::damage`].
///
/// # Examples
///
/// ```no_run
/// use jaeger_client::{Destination, HttpConfig, ReplayOptions, replay};
/// let collector = HttpConfig::new("http://127.0.0.1:14268/api/traces");
/// let file = "/var/lib/checkout/spans.batches";
/// let report = replay(file, Destination::collector(collector), ReplayOptions::default())?;
/// println!("{report}");
/// # Ok::<(), jaeger_client::SavedBatchesError>(())
/// ```
pub fn replay(
    path: impl AsRef<Path>,
    destination: impl Into<Destination>,
    options: ReplayOptions,
) -> Result<ReplayReport, SavedBatchesError> {
    let mut file = SavedFile::open_to_read(path.as_ref())?;
    let names = names(&mut file)?;
    if let (None, 2..) = (&options.only, names.len()) {
        return Err(SavedBatchesError::SeveralDestinations { names: names.into_iter().collect() });
    }
    let replay = Replay::new(destination.into(), options);
    replay.map_err(|source| SavedBatchesError::Destination { source })?.run(file)
}

/// Options of a replay.
#[derive(Default)]
#[non_exhaustive]
pub struct ReplayOptions {
    /// The name of the destination whose spans are sent. By default, all are, which must be of one.
    pub only: Option<String>,
    /// The logger of failures; standard error by default.
    pub logger: Option<Box<dyn Logger>>,
}

impl fmt::Debug for ReplayOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplayOptions").field("only", &self.only).finish_non_exhaustive()
    }
}

impl ReplayOptions {
    /// Sends only the spans of the destination with that name.
    #[must_use]
    pub fn only(mut self, destination: impl Into<String>) -> Self {
        self.only = Some(destination.into());
        self
    }

    /// Sets the logger of failures.
    #[must_use]
    pub fn logger(mut self, logger: impl Logger + 'static) -> Self {
        self.logger = Some(Box::new(logger));
        self
    }
}

/// The result of a replay.
///
/// # Shape and units
///
/// Counts of spans. The spans to be sent are `sent + dropped.total() + left`, and what is behind a
/// [damage](Self::damage).
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct ReplayReport {
    /// Spans that were sent.
    pub sent: u64,
    /// Spans counted in `sent` that the receiver confirmed.
    pub acknowledged: u64,
    /// Spans that the destination refused for good, by cause.
    pub dropped: Dropped,
    /// Spans that are still in the file, because they could not be sent.
    pub left: u64,
    /// Spans counted in `sent` that the receiver may have received before.
    pub possible_duplicates: u64,
    /// The place where the file is damaged. The file is kept from there on.
    pub damage: Option<SavedBatchesError>,
}

impl ReplayReport {
    /// Returns whether no span to be sent is left in the file.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.left == 0 && self.damage.is_none()
    }
}

impl fmt::Display for ReplayReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sent, acknowledged, left, possible_duplicates, .. } = self;
        let dropped = self.dropped.total();
        write!(
            f,
            "sent {sent}, of which {acknowledged} acknowledged; dropped {dropped}; left {left}"
        )?;
        if *possible_duplicates > 0 {
            write!(f, "; {possible_duplicates} sent may be duplicates")?;
        }
        match &self.damage {
            Some(damage) => write!(f, "; {damage}"),
            None => Ok(()),
        }
    }
}

/// Returns the names of the destinations with unsent spans, as far as the file can be read.
fn names(file: &mut SavedFile) -> Result<BTreeSet<String>, SavedBatchesError> {
    let mut names = BTreeSet::new();
    loop {
        match file.next() {
            Ok(Some(record)) if record.is_sent => {}
            Ok(Some(record)) => drop(names.insert(record.name)),
            Ok(None) | Err(SavedBatchesError::Damaged { .. }) => break,
            Err(error) => return Err(error),
        }
    }
    file.rewind()?;
    Ok(names)
}

struct Replay {
    exporter: Exporter,
    /// Always empty; the exporter updates its counts.
    buffers: ShardedBuffers,
    unsent: Arc<Unsent>,
    only: Option<String>,
}

/// Collects the spans of a record that the exporter gives up.
#[derive(Debug, Default)]
struct Unsent(Mutex<UnsentParts>);

#[derive(Debug, Default)]
struct UnsentParts {
    parts: Vec<Record>,
    /// The service name of all parts.
    name: String,
    process: Vec<u8>,
    is_unconfirmed: bool,
}

impl SaveSpans for Unsent {
    fn save(&self, _: &str, _: &[u8], spans: List<'_>, is_unconfirmed: bool) -> usize {
        let mut unsent = self.0.lock();
        let is_unconfirmed = is_unconfirmed || unsent.is_unconfirmed;
        let parts: Vec<_> = batches(&unsent.process, spans)
            .map(|(batch, count)| {
                let count = u32::try_from(count).unwrap_or(u32::MAX);
                Record::new(&unsent.name, batch, count, is_unconfirmed)
            })
            .collect();
        unsent.parts.extend(parts);
        spans.count
    }
}

impl Replay {
    fn new(destination: Destination, options: ReplayOptions) -> Result<Self, ConfigError> {
        let origin = ProcessOrigin::here().map_err(|source| ConfigError::Thread { source })?;
        let logger = options.logger.unwrap_or_else(|| Box::new(StderrLogger));
        let diagnostics = Arc::new(Diagnostics::new(logger, origin.clone()));
        let unsent = Arc::<Unsent>::default();
        let saver: Arc<dyn SaveSpans> = unsent.clone();
        let context = ExporterOptions {
            process: &[],
            send: &SendOptions { reconnect_interval: None, ..SendOptions::default() },
            close_signal: &CloseSignal::default(),
            diagnostics: &diagnostics,
            saver: Some(saver),
        };
        let exporter = context.exporter(destination, true)?;
        let limits = QueueLimits { bytes: 0, spans: 0 };
        let (wake, _) = bounded(1);
        let (_, spare) = bounded(0);
        let sizes = (MAX_PACKET_BYTES, 0, 0);
        let buffers = ShardedBuffers::new(1, sizes, limits, (wake, spare), &origin);
        Ok(Self { exporter, buffers, unsent, only: options.only })
    }

    fn run(mut self, mut file: SavedFile) -> Result<ReplayReport, SavedBatchesError> {
        let mut report = ReplayReport::default();
        // The records that stay in the file, in order.
        let mut rest: Option<SavedFile> = None;
        loop {
            let record = match file.next() {
                Ok(Some(record)) => record,
                Ok(None) => break,
                Err(damage @ SavedBatchesError::Damaged { at, .. }) => {
                    file.seek(at)?;
                    file.copy_rest(retained(&mut rest, &file)?)?;
                    report.damage = Some(damage);
                    break;
                }
                Err(error) => return Err(error),
            };
            if record.is_sent {
                continue;
            }
            let is_wanted = self.only.as_ref().is_none_or(|only| *only == record.name);
            if !is_wanted || report.left > 0 {
                if is_wanted {
                    report.left += u64::from(record.spans);
                }
                retained(&mut rest, &file)?.append(&record, u64::MAX)?;
                continue;
            }
            let unsent = self.send(&record, &mut report);
            if unsent.is_empty() {
                file.mark_sent(&record)?;
            }
            for part in unsent {
                report.left += u64::from(part.spans);
                retained(&mut rest, &file)?.append(&part, u64::MAX)?;
            }
        }
        match rest {
            Some(rest) => rest.take_place_of(file)?,
            None => file.remove()?,
        }
        Ok(report)
    }

    /// Sends a record. Returns the part of it that is still to be sent.
    fn send(&mut self, record: &Record, report: &mut ReplayReport) -> Vec<Record> {
        let Ok((_, batch)) = BatchView::parse_message(&record.batch) else {
            // The checksum is right, so that another program has written the record.
            report.dropped.send_failed += u64::from(record.spans);
            return Vec::new();
        };
        let name = record.name.clone();
        let process = batch.process.to_bytes();
        let is_unconfirmed = record.is_unconfirmed;
        *self.unsent.0.lock() = UnsentParts { parts: Vec::new(), name, process, is_unconfirmed };
        let before = self.exporter.counts().read();
        self.exporter.send_batch(&self.buffers, &batch);
        let after = self.exporter.counts().read();
        let sent = after.sent.saturating_sub(before.sent);
        report.sent += sent;
        report.acknowledged += after.acknowledged.saturating_sub(before.acknowledged);
        add(&mut report.dropped, &before, &after);
        let repeated = after.possible_duplicates.saturating_sub(before.possible_duplicates);
        report.possible_duplicates += if record.is_unconfirmed { sent } else { repeated };
        std::mem::take(&mut self.unsent.0.lock().parts)
    }
}

/// Returns the file for the records that stay.
fn retained<'r>(
    rest: &'r mut Option<SavedFile>,
    file: &SavedFile,
) -> Result<&'r mut SavedFile, SavedBatchesError> {
    let file = match rest.take() {
        Some(file) => file,
        None => {
            let mut path = file.path().as_os_str().to_owned();
            path.push(".rest");
            SavedFile::create(path.as_ref())?
        }
    };
    Ok(rest.insert(file))
}

/// Adds the spans dropped between two readings.
fn add(dropped: &mut Dropped, before: &DestinationStats, after: &DestinationStats) {
    let (before, after) = (before.dropped, after.dropped);
    dropped.queue_full += after.queue_full.saturating_sub(before.queue_full);
    dropped.too_large += after.too_large.saturating_sub(before.too_large);
    dropped.send_failed += after.send_failed.saturating_sub(before.send_failed);
    dropped.rejected += after.rejected.saturating_sub(before.rejected);
    dropped.closed += after.closed.saturating_sub(before.closed);
}
