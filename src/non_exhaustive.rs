//! A marker that lets configurations that are written as literals gain fields.

use std::fmt;

/// The last field of a configuration: a literal must end with `..Default::default()` or the like, so
/// that fields that a later version adds have their defaults and break nobody. Rust's attribute of
/// that name would forbid such literals too.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct NonExhaustive;

/// Shows `..`, as Rust does for omitted fields.
impl fmt::Debug for NonExhaustive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("..")
    }
}
