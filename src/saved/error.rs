//! Errors of a file of saved batches.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::error::ConfigError;

/// Why a file of saved batches cannot be read, written or replayed.
#[derive(Debug)]
#[non_exhaustive]
pub enum SavedBatchesError {
    /// The operating system refuses.
    Io {
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// The path is a folder, a device, a pipe or a link.
    NotAFile {
        /// The requested path.
        path: PathBuf,
    },
    /// Another tracer writes it, or another replay reads it.
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// The file has another format.
    Unknown {
        /// The file.
        path: PathBuf,
    },
    /// The file was written by a later version of this crate.
    Version {
        /// The version in the file.
        found: u32,
    },
    /// The file is damaged, or ends in the middle of a batch.
    Damaged {
        /// Where the batch begins, in bytes.
        at: u64,
        /// The reason.
        what: &'static str,
    },
    /// Spans of several destinations are in it, and none of them was chosen.
    SeveralDestinations {
        /// The names of the destinations.
        names: Vec<String>,
    },
    /// The destination cannot be used.
    Destination {
        /// The reason.
        source: ConfigError,
    },
}

impl fmt::Display for SavedBatchesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { path, source } => write!(f, "{}: {source}", path.display()),
            Self::NotAFile { path } => write!(f, "{} is no regular file", path.display()),
            Self::InUse { path } => {
                write!(f, "{} is in use by a tracer, or by another replay", path.display())
            }
            Self::Unknown { path } => write!(f, "{} has no saved batches in it", path.display()),
            Self::Version { found } => {
                write!(f, "the file has version {found}; this program reads version 1")
            }
            Self::Damaged { at, what } => write!(f, "the batch at byte {at} is damaged: {what}"),
            Self::SeveralDestinations { names } => {
                write!(f, "the file has spans for {}: choose one of them", names.join(", "))
            }
            Self::Destination { source } => source.fmt(f),
        }
    }
}

impl Error for SavedBatchesError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            Self::Destination { source } => Some(source),
            _ => None,
        }
    }
}
