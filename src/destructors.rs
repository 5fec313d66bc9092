//! Whether the end of a value can be noticed.

use std::mem::needs_drop;

/// Returns whether a value has a destructor, itself or in its parts. When one without is dropped makes no
/// difference to its owner.
pub(crate) fn has_destructor<T>(_value: &T) -> bool {
    needs_drop::<T>()
}
