//! What the library knows of its own samplers, beyond what the trait says.

use super::{DecisionById, Sampler};
use crate::destructors::has_destructor;

/// A description of a built-in sampler. Built-in samplers do not panic, and need no guard.
#[derive(Clone, Copy, Debug)]
pub struct BuiltIn<'a> {
    /// Whether it holds values that are not its own, as another sampler.
    holds_other_values: bool,
    /// Whether the trace id alone decides about every trace, so that nothing of the application is called
    /// for a decision: no other sampler, clock or logger.
    pub(crate) decides_by_id_alone: bool,
    /// Its decision on every trace, if that is always the same one.
    pub(super) constant: Option<DecisionById<'a>>,
}

impl<'a> BuiltIn<'a> {
    /// A sampler that holds no values but its own, and is called for each trace.
    pub(super) const SELF_CONTAINED: Self =
        Self { holds_other_values: false, decides_by_id_alone: false, constant: None };

    /// A self-contained sampler that decides by the trace id alone.
    pub(super) const BY_ID: Self = Self { decides_by_id_alone: true, ..Self::SELF_CONTAINED };

    /// A self-contained sampler with one decision for every trace.
    pub(super) const fn constant(decision: DecisionById<'a>) -> Self {
        Self { constant: Some(decision), ..Self::BY_ID }
    }

    /// Sets whether the sampler holds values that are not its own, as another sampler.
    pub(super) const fn holding_other_values(mut self, holds_other_values: bool) -> Self {
        self.holds_other_values = holds_other_values;
        self
    }

    /// Returns the description of the same sampler behind a pointer that others may hold, too.
    pub(super) const fn shared(self, is_shared: bool) -> Self {
        self.holding_other_values(self.holds_other_values || is_shared)
    }
}

/// Returns whether a sampler, or a value in it, has a destructor of the user, which may be waited for.
pub(crate) fn has_user_destructor(sampler: &impl Sampler) -> bool {
    has_destructor(sampler) && holds_other_values(sampler)
}

pub(super) fn holds_other_values(sampler: &(impl Sampler + ?Sized)) -> bool {
    sampler.built_in().is_none_or(|built_in| built_in.holds_other_values)
}
