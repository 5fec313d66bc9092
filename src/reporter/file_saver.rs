//! Saves spans in a file that could not be sent before the close.

use std::sync::Arc;

use parking_lot::Mutex;

use super::saver::{SaveSpans, batches};
use crate::diag::{Cause, Diagnostics};
use crate::encoding::List;
use crate::saved::{Record, SavedBatchesConfig, SavedBatchesError, SavedFile};
use crate::transport::CloseSignal;

/// Saves spans once the tracer is being closed. The file is opened for the first of them.
#[derive(Debug)]
pub(crate) struct FileSaver {
    config: SavedBatchesConfig,
    close_signal: CloseSignal,
    diagnostics: Arc<Diagnostics>,
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    Unopened,
    Open(SavedFile),
    /// The file could not be opened or written.
    Failed,
}

impl FileSaver {
    pub(crate) fn new(
        config: SavedBatchesConfig,
        close_signal: &CloseSignal,
        diagnostics: &Arc<Diagnostics>,
    ) -> Self {
        Self {
            config,
            close_signal: close_signal.clone(),
            diagnostics: Arc::clone(diagnostics),
            state: Mutex::new(State::Unopened),
        }
    }

    /// Returns the file, if it can be opened.
    fn open<'s>(
        &self,
        state: &'s mut State,
    ) -> Result<Option<&'s mut SavedFile>, SavedBatchesError> {
        if let State::Unopened = state {
            *state = State::Failed;
            *state = State::Open(SavedFile::open_to_append(&self.config.path)?);
            self.diagnostics.error(Cause::Saved, || {
                format!(
                    "spans that could not be sent are saved in {}; jaeger-client-replay sends them",
                    self.config.path.display()
                )
            });
        }
        Ok(match state {
            State::Open(file) => Some(file),
            State::Unopened | State::Failed => None,
        })
    }

    fn append(&self, record: &Record) -> Result<bool, SavedBatchesError> {
        let mut state = self.state.lock();
        let Some(file) = self.open(&mut state)? else { return Ok(false) };
        let appended = file.append(record, self.config.max_bytes);
        if appended.is_err() {
            *state = State::Failed;
        }
        appended
    }
}

impl SaveSpans for FileSaver {
    fn save(
        &self,
        destination: &str,
        process: &[u8],
        spans: List<'_>,
        is_unconfirmed: bool,
    ) -> usize {
        if !self.close_signal.is_set() {
            return 0;
        }
        let mut saved = 0;
        for (batch, count) in batches(process, spans) {
            let count_of_record = u32::try_from(count).unwrap_or(u32::MAX);
            match self.append(&Record::new(destination, batch, count_of_record, is_unconfirmed)) {
                Ok(true) => saved += count,
                Ok(false) => {
                    self.diagnostics.error(Cause::NotSaved, || {
                        let SavedBatchesConfig { path, max_bytes } = &self.config;
                        let path = path.display();
                        format!(
                            "{count} spans lost: {path} has no room for them in {max_bytes} bytes"
                        )
                    });
                    break;
                }
                Err(error) => {
                    self.diagnostics.error(Cause::NotSaved, || {
                        format!("spans that could not be sent cannot be saved: {error}")
                    });
                    break;
                }
            }
        }
        saved
    }
}
