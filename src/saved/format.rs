//! The bytes of a file of saved batches.
//!
//! A header, then any number of records. All numbers are little-endian.
//!
//! ```text
//! header  0  magic "JCLSAVED" · 8 version · 12 checksum of what precedes
//! record  0  bytes of the batch · 4 spans · 8 bytes of the name · 10 flags · 11 zero
//!        12  checksum of name and batch · 16 checksum of what precedes
//!        20  0, or "SENT" once it was sent again
//!        24  name of the destination · batch, an `emitBatch` message of the compact protocol
//! ```
//!
//! Checksums are CRC-32. The last number of a record's head is in none of them, as it changes.

pub(super) const HEADER_BYTES: usize = 16;
pub(super) const HEAD_BYTES: usize = 24;

/// The offset in its head of the mark that a record was sent.
pub(super) const SENT_AT: u64 = 20;
pub(super) const SENT: &[u8; 4] = b"SENT";

const MAGIC: &[u8; 8] = b"JCLSAVED";
const VERSION: u32 = 1;

/// The most bytes of a record; of a file that claims more nothing is reserved.
pub(super) const MAX_BATCH_BYTES: usize = 16 << 20;

const UNCONFIRMED: u8 = 1;

/// Why a header is invalid.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum HeaderError {
    Unknown,
    Version(u32),
}

/// The fields before a record's name and batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) batch_bytes: u32,
    pub(super) spans: u32,
    pub(super) name_bytes: u16,
    /// Whether the server may have the spans all the same.
    pub(super) is_unconfirmed: bool,
    pub(super) checksum: u32,
    pub(super) is_sent: bool,
}

pub(super) fn header() -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    header[..8].copy_from_slice(MAGIC);
    header[8..12].copy_from_slice(&VERSION.to_le_bytes());
    let checksum = crc32fast::hash(&header[..12]);
    header[12..].copy_from_slice(&checksum.to_le_bytes());
    header
}

pub(super) fn check_header(header: &[u8; HEADER_BYTES]) -> Result<(), HeaderError> {
    if header[..8] != *MAGIC || number(header, 12) != crc32fast::hash(&header[..12]) {
        return Err(HeaderError::Unknown);
    }
    match number(header, 8) {
        VERSION => Ok(()),
        found => Err(HeaderError::Version(found)),
    }
}

/// The checksum of what follows a head.
pub(super) fn checksum(name: &[u8], batch: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(name);
    hasher.update(batch);
    hasher.finalize()
}

impl Head {
    pub(super) fn write(&self) -> [u8; HEAD_BYTES] {
        let mut head = [0; HEAD_BYTES];
        head[..4].copy_from_slice(&self.batch_bytes.to_le_bytes());
        head[4..8].copy_from_slice(&self.spans.to_le_bytes());
        head[8..10].copy_from_slice(&self.name_bytes.to_le_bytes());
        head[10] = if self.is_unconfirmed { UNCONFIRMED } else { 0 };
        head[12..16].copy_from_slice(&self.checksum.to_le_bytes());
        let own = crc32fast::hash(&head[..16]);
        head[16..20].copy_from_slice(&own.to_le_bytes());
        if self.is_sent {
            head[20..].copy_from_slice(SENT);
        }
        head
    }

    /// Reads a head. The error is what is wrong with it.
    pub(super) fn read(head: &[u8; HEAD_BYTES]) -> Result<Self, &'static str> {
        if number(head, 16) != crc32fast::hash(&head[..16]) {
            return Err("the checksum of its head is wrong");
        }
        let read = Self {
            batch_bytes: number(head, 0),
            spans: number(head, 4),
            name_bytes: u16::from_le_bytes([head[8], head[9]]),
            is_unconfirmed: head[10] & UNCONFIRMED != 0,
            checksum: number(head, 12),
            is_sent: head[20..] == *SENT,
        };
        if read.batch_bytes as usize > MAX_BATCH_BYTES {
            return Err("it claims to be larger than any batch");
        }
        Ok(read)
    }

    /// The number of bytes that follow.
    pub(super) fn body_bytes(&self) -> u64 {
        u64::from(self.batch_bytes) + u64::from(self.name_bytes)
    }
}

fn number(bytes: &[u8], at: usize) -> u32 {
    let bytes = bytes.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
    u32::from_le_bytes(bytes.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_of_another_kind_or_version_is_distinguished() {
        assert_eq!(check_header(&header()), Ok(()));
        for at in 0..HEADER_BYTES {
            let mut damaged = header();
            damaged[at] ^= 1;
            assert_eq!(check_header(&damaged), Err(HeaderError::Unknown), "byte {at}");
        }
        let mut later = header();
        later[8] = 2;
        let checksum = crc32fast::hash(&later[..12]);
        later[12..].copy_from_slice(&checksum.to_le_bytes());
        assert_eq!(check_header(&later), Err(HeaderError::Version(2)));
    }

    proptest::proptest! {
        #[test]
        fn law_a_head_reads_back_and_any_damage_to_it_is_noticed(
            batch_bytes in 0..=16_u32 << 20, spans: u32, name_bytes: u16,
            is_unconfirmed: bool, checksum: u32, is_sent: bool, bit in 0_usize..160
        ) {
            let head = Head { batch_bytes, spans, name_bytes, is_unconfirmed, checksum, is_sent };
            let mut bytes = head.write();
            proptest::prop_assert_eq!(Head::read(&bytes), Ok(head));
            bytes[bit / 8] ^= 1 << (bit % 8);
            proptest::prop_assert!(Head::read(&bytes).is_err());
        }

        #[test]
        fn law_a_head_takes_any_bytes(bytes: [u8; HEAD_BYTES]) {
            let _ = Head::read(&bytes);
        }
    }
}
