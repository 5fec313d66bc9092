//! Batches that nobody acknowledged before a tracer was closed, in a file to be sent again.
//!
//! The reporter writes the file and reads it; here is what is in it.

mod config;
#[cfg(feature = "saved-batches")]
mod error;
#[cfg(feature = "saved-batches")]
mod file;
#[cfg(feature = "saved-batches")]
mod format;

pub use self::config::SavedBatchesConfig;
#[cfg(feature = "saved-batches")]
pub use self::error::SavedBatchesError;
#[cfg(feature = "saved-batches")]
pub(crate) use self::file::{Record, SavedFile};
