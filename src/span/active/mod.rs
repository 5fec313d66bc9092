//! The active span: the parent of spans that are started without one.
//!
//! An active span belongs to a thread in synchronous code, and to a future in asynchronous code.

mod future;
mod numbered;
mod scope;

pub use self::future::{InSpan, TraceFutureExt, wrap};
pub use self::numbered::NumberedScopes;
pub use self::scope::Scope;
pub(crate) use self::scope::active_of;
use self::scope::active_of_other_tracers;
pub(super) use self::scope::{active, is_any_active, with_nearest};
