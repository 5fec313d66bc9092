//! A file of saved batches, open and locked: read from its start, or added to at its end.

use std::fs::{self, File, Metadata, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use super::error::SavedBatchesError;
use super::format::{
    self, HEAD_BYTES, HEADER_BYTES, Head, HeaderError, MAX_BATCH_BYTES, SENT, SENT_AT,
};

/// A file that no other process has open in this way.
#[derive(Debug)]
pub(crate) struct SavedFile {
    file: File,
    path: PathBuf,
    /// Where the next record is read or written.
    at: u64,
    /// The bytes that it had when it was opened, or has now.
    len: u64,
}

/// Spans that were saved together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    /// Where in the file it is.
    at: u64,
    /// The destination that did not get them.
    pub(crate) name: String,
    /// An `emitBatch` message.
    pub(crate) batch: Vec<u8>,
    pub(crate) spans: u32,
    /// Whether that destination may have them all the same.
    pub(crate) is_unconfirmed: bool,
    /// Whether they were sent again.
    pub(crate) is_sent: bool,
}

impl Record {
    pub(crate) fn new(name: &str, batch: Vec<u8>, spans: u32, is_unconfirmed: bool) -> Self {
        let name = name.to_owned();
        Self { at: 0, name, batch, spans, is_unconfirmed, is_sent: false }
    }
}

impl SavedFile {
    /// Opens a file to add records, or makes it. A record that was not written to its end, because the
    /// process was killed meanwhile, is taken away.
    ///
    /// # Errors
    ///
    /// Among others, if it is damaged elsewhere: it is left as it is.
    pub(crate) fn open_to_append(path: &Path) -> Result<Self, SavedBatchesError> {
        let mut saved = Self::open(path, true)?;
        if saved.len < HEADER_BYTES as u64 {
            saved.make_private()?;
            saved.truncate(0)?;
            saved.write(&format::header())?;
            return Ok(saved);
        }
        saved.make_private()?;
        saved.read_header()?;
        loop {
            let begin = saved.at;
            match saved.skip() {
                Ok(true) => {}
                Ok(false) => return Ok(saved),
                Err(SavedBatchesError::Damaged { what: TRUNCATED, .. }) => {
                    saved.truncate(begin)?;
                    return Ok(saved);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Opens a file to read its records.
    pub(crate) fn open_to_read(path: &Path) -> Result<Self, SavedBatchesError> {
        let mut saved = Self::open(path, false)?;
        saved.read_header()?;
        Ok(saved)
    }

    /// Makes a file that will take the place of another. What was there under its name, from a time when
    /// that was not finished, is taken away.
    pub(crate) fn create(path: &Path) -> Result<Self, SavedBatchesError> {
        match fs::remove_file(path) {
            Err(source) if source.kind() != ErrorKind::NotFound => Err(io_error(path, source)),
            _ => Self::open_to_append(path),
        }
    }

    /// Says what would be wrong with opening a file for records, without making it.
    pub(crate) fn check(path: &Path) -> Result<(), SavedBatchesError> {
        match fs::symlink_metadata(path) {
            Ok(metadata) if metadata.is_file() => Ok(()),
            Ok(_) => Err(SavedBatchesError::NotAFile { path: path.to_owned() }),
            Err(source) if source.kind() != ErrorKind::NotFound => Err(io_error(path, source)),
            Err(_) => {
                let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
                let folder = folder.unwrap_or_else(|| Path::new("."));
                match fs::metadata(folder) {
                    Ok(metadata) if metadata.is_dir() && path.file_name().is_some() => Ok(()),
                    Ok(_) => Err(SavedBatchesError::NotAFile { path: path.to_owned() }),
                    Err(source) => Err(io_error(folder, source)),
                }
            }
        }
    }

    fn open(path: &Path, create: bool) -> Result<Self, SavedBatchesError> {
        let mut attempts = 0;
        loop {
            let file = options(create).open(path).map_err(|source| {
                if source.kind() == ErrorKind::IsADirectory || is_link(&source) {
                    return SavedBatchesError::NotAFile { path: path.to_owned() };
                }
                io_error(path, source)
            })?;
            let metadata = file.metadata().map_err(|source| io_error(path, source))?;
            if !metadata.is_file() {
                return Err(SavedBatchesError::NotAFile { path: path.to_owned() });
            }
            let is_locked = match file.try_lock() {
                Ok(()) => true,
                Err(TryLockError::WouldBlock) => false,
                Err(TryLockError::Error(source)) => return Err(io_error(path, source)),
            };
            // A replay may have put another file in its place before the lock was free.
            if is_locked && is_at(path, &metadata) {
                let len = file.metadata().map_err(|source| io_error(path, source))?.len();
                return Ok(Self { file, path: path.to_owned(), at: 0, len });
            }
            attempts += 1;
            if attempts >= MAX_ATTEMPTS {
                return Err(SavedBatchesError::InUse { path: path.to_owned() });
            }
            thread::sleep(PAUSE);
        }
    }

    /// Adds a record, unless the file would then have more than `max_bytes`. Whether it did.
    pub(crate) fn append(
        &mut self,
        record: &Record,
        max_bytes: u64,
    ) -> Result<bool, SavedBatchesError> {
        let (Ok(batch_bytes), Ok(name_bytes)) =
            (u32::try_from(record.batch.len()), u16::try_from(record.name.len()))
        else {
            return Ok(false);
        };
        let name = record.name.as_bytes();
        let head = Head {
            batch_bytes,
            spans: record.spans,
            name_bytes,
            is_unconfirmed: record.is_unconfirmed,
            checksum: format::checksum(name, &record.batch),
            is_sent: record.is_sent,
        };
        let end = self.at + HEAD_BYTES as u64 + head.body_bytes();
        if end > max_bytes || record.batch.len() > MAX_BATCH_BYTES {
            return Ok(false);
        }
        let mut bytes = Vec::with_capacity(HEAD_BYTES + name.len() + record.batch.len());
        bytes.extend_from_slice(&head.write());
        bytes.extend_from_slice(name);
        bytes.extend_from_slice(&record.batch);
        let begin = self.at;
        if let Err(error) = self.write(&bytes) {
            // A full disk: what was written of it would be taken for damage.
            let _ = self.truncate(begin);
            return Err(error);
        }
        Ok(true)
    }

    /// The next record; none at the end of the file.
    ///
    /// # Errors
    ///
    /// [`SavedBatchesError::Damaged`] for what is no record. Nothing is reserved for more bytes than the
    /// file has.
    pub(crate) fn next(&mut self) -> Result<Option<Record>, SavedBatchesError> {
        let at = self.at;
        let Some(head) = self.read_head()? else { return Ok(None) };
        let mut name = vec![0; head.name_bytes.into()];
        let mut batch = vec![0; head.batch_bytes as usize];
        self.read(&mut name, at)?;
        self.read(&mut batch, at)?;
        if format::checksum(&name, &batch) != head.checksum {
            return Err(SavedBatchesError::Damaged { at, what: "its checksum is wrong" });
        }
        let name = String::from_utf8(name)
            .map_err(|_| SavedBatchesError::Damaged { at, what: "its name is no text" })?;
        let Head { spans, is_unconfirmed, is_sent, .. } = head;
        Ok(Some(Record { at, name, batch, spans, is_unconfirmed, is_sent }))
    }

    /// Notes that a record was sent.
    pub(crate) fn mark_sent(&mut self, record: &Record) -> Result<(), SavedBatchesError> {
        let write = |file: &mut File| {
            file.seek(SeekFrom::Start(record.at + SENT_AT))?;
            file.write_all(SENT)?;
            file.seek(SeekFrom::Start(self.at)).map(drop)
        };
        write(&mut self.file).map_err(|source| io_error(&self.path, source))
    }

    /// Goes back to the first record.
    pub(crate) fn rewind(&mut self) -> Result<(), SavedBatchesError> {
        self.seek(HEADER_BYTES as u64)
    }

    /// Copies what is left of the file, from a record on, damaged or not.
    pub(crate) fn copy_rest(&mut self, to: &mut Self) -> Result<(), SavedBatchesError> {
        let copied = io::copy(&mut self.file, &mut to.file);
        to.at += copied.map_err(|source| io_error(&to.path, source))?;
        to.len = to.at;
        Ok(())
    }

    /// Puts this file in the place of another.
    pub(crate) fn take_place_of(self, other: Self) -> Result<(), SavedBatchesError> {
        let placed = self.file.sync_all().and_then(|()| fs::rename(&self.path, &other.path));
        placed.map_err(|source| io_error(&other.path, source))
    }

    /// Takes the file away.
    pub(crate) fn remove(self) -> Result<(), SavedBatchesError> {
        fs::remove_file(&self.path).map_err(|source| io_error(&self.path, source))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    fn read_header(&mut self) -> Result<(), SavedBatchesError> {
        let unknown = SavedBatchesError::Unknown { path: self.path.clone() };
        let mut header = [0; HEADER_BYTES];
        if self.len < HEADER_BYTES as u64 {
            return Err(unknown);
        }
        self.read(&mut header, 0)?;
        format::check_header(&header).map_err(|error| match error {
            HeaderError::Unknown => unknown,
            HeaderError::Version(found) => SavedBatchesError::Version { found },
        })
    }

    /// The head of the next record, whose body is there; none at the end of the file.
    fn read_head(&mut self) -> Result<Option<Head>, SavedBatchesError> {
        let at = self.at;
        if at == self.len {
            return Ok(None);
        }
        let mut bytes = [0; HEAD_BYTES];
        self.read(&mut bytes, at)?;
        let head = Head::read(&bytes).map_err(|what| SavedBatchesError::Damaged { at, what })?;
        if head.body_bytes() > self.len - self.at {
            return Err(SavedBatchesError::Damaged { at, what: TRUNCATED });
        }
        Ok(Some(head))
    }

    /// Passes over a record. False at the end of the file.
    fn skip(&mut self) -> Result<bool, SavedBatchesError> {
        let Some(head) = self.read_head()? else { return Ok(false) };
        self.seek(self.at + head.body_bytes())?;
        Ok(true)
    }

    /// Reads a part of the record that begins at `begin`.
    fn read(&mut self, bytes: &mut [u8], begin: u64) -> Result<(), SavedBatchesError> {
        if bytes.len() as u64 > self.len.saturating_sub(self.at) {
            return Err(SavedBatchesError::Damaged { at: begin, what: TRUNCATED });
        }
        self.file.read_exact(bytes).map_err(|source| io_error(&self.path, source))?;
        self.at += bytes.len() as u64;
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), SavedBatchesError> {
        self.file.write_all(bytes).map_err(|source| io_error(&self.path, source))?;
        self.at += bytes.len() as u64;
        self.len = self.at;
        Ok(())
    }

    /// Makes the byte at `to` the next that is read.
    pub(crate) fn seek(&mut self, to: u64) -> Result<(), SavedBatchesError> {
        self.file.seek(SeekFrom::Start(to)).map_err(|source| io_error(&self.path, source))?;
        self.at = to;
        Ok(())
    }

    fn truncate(&mut self, len: u64) -> Result<(), SavedBatchesError> {
        self.file.set_len(len).map_err(|source| io_error(&self.path, source))?;
        self.len = len;
        self.seek(len)
    }

    /// Lets nobody but its owner read a file that was there already.
    #[cfg(unix)]
    fn make_private(&self) -> Result<(), SavedBatchesError> {
        use std::os::unix::fs::PermissionsExt as _;

        let private = fs::Permissions::from_mode(OWNER_ALONE);
        self.file.set_permissions(private).map_err(|source| io_error(&self.path, source))
    }

    #[cfg(not(unix))]
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "one signature for all")]
    fn make_private(&self) -> Result<(), SavedBatchesError> {
        Ok(())
    }
}

fn io_error(path: &Path, source: io::Error) -> SavedBatchesError {
    SavedBatchesError::Io { path: path.to_owned(), source }
}

/// Opens the file without following a link, as a user who may write to its folder could have put
/// one there, and a pipe is not waited for.
#[cfg(unix)]
fn options(create: bool) -> OpenOptions {
    use std::os::unix::fs::OpenOptionsExt as _;

    use rustix::fs::OFlags;

    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(create).mode(OWNER_ALONE).custom_flags(flags);
    options
}

/// Returns whether that is why a file was not opened.
#[cfg(unix)]
fn is_link(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error())
}

#[cfg(not(unix))]
fn is_link(_error: &io::Error) -> bool {
    false
}

#[cfg(not(unix))]
fn options(create: bool) -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(create);
    options
}

/// Returns whether the open file is still the one at its path.
#[cfg(unix)]
fn is_at(path: &Path, open: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;

    let there = fs::symlink_metadata(path);
    there.is_ok_and(|there| (there.dev(), there.ino()) == (open.dev(), open.ino()))
}

#[cfg(not(unix))]
fn is_at(_path: &Path, _open: &Metadata) -> bool {
    true
}

const TRUNCATED: &str = "the file ends in the middle of it";

#[cfg(unix)]
const OWNER_ALONE: u32 = 0o600;

/// The number of attempts at a file that another process has locked, and the pause between
/// attempts. Others have it for as long as they write what they had to send.
const MAX_ATTEMPTS: u32 = 20;
const PAUSE: Duration = Duration::from_millis(20);
