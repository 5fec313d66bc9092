//! Lists as they lie in the bytes.

/// The elements of a Thrift list as they lie in the bytes: how many, and where.
///
/// # Shape and units
///
/// `bytes` holds the elements only; the list's own header (element type and count) is written by
/// whoever encodes what the list belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct List<'a> {
    /// How many elements there are.
    pub count: usize,
    /// Their compact Thrift bytes, one behind the other.
    pub bytes: &'a [u8],
}

impl<'a> List<'a> {
    /// A list of `count` elements whose compact bytes are `bytes`.
    #[must_use]
    pub const fn new(count: usize, bytes: &'a [u8]) -> Self {
        Self { count, bytes }
    }
}
