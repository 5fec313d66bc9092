//! Thrift lists in their encoded form.

/// The elements of a Thrift list in their encoded form.
///
/// # Shape and units
///
/// `bytes` holds the elements only; the list's header (element type and count) is written with the
/// structure that contains the list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct List<'a> {
    /// The number of elements.
    pub count: usize,
    /// The compact Thrift bytes of the elements, one after the other.
    pub bytes: &'a [u8],
}

impl<'a> List<'a> {
    /// Returns a list of `count` elements whose compact bytes are `bytes`.
    #[must_use]
    pub const fn new(count: usize, bytes: &'a [u8]) -> Self {
        Self { count, bytes }
    }
}
