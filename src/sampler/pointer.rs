//! A sampler behind a pointer is a sampler.

use std::sync::Arc;

use super::{
    BuiltIn, Decision, DecisionById, ParentDecision, RemoteCounts, Sampler, SamplerHost,
    SamplerStatus, SamplingParameters,
};
use crate::encoding::ValueView;
use crate::error::ConfigError;
use crate::id::TraceId;

macro_rules! forward {
    ($($pointer:ident: $is_shared:literal),*) => {$(
        impl<S: Sampler + ?Sized> Sampler for $pointer<S> {
            fn on_create_span(&self, span: &mut SamplingParameters<'_>) -> Decision {
                (**self).on_create_span(span)
            }

            fn decide_by_id(&self, trace_id: TraceId) -> DecisionById<'_> {
                (**self).decide_by_id(trace_id)
            }

            fn built_in(&self) -> Option<BuiltIn<'_>> {
                (**self).built_in().map(|built_in| built_in.shared($is_shared))
            }

            fn may_defer(&self) -> bool {
                (**self).may_defer()
            }

            fn on_set_operation_name(&self, span: &mut SamplingParameters<'_>) -> Decision {
                (**self).on_set_operation_name(span)
            }

            fn on_set_tag(&self, span: &mut SamplingParameters<'_>, key: &str, value: ValueView<'_>) -> Decision {
                (**self).on_set_tag(span, key, value)
            }

            fn on_finish(&self, span: &mut SamplingParameters<'_>) -> Decision {
                (**self).on_finish(span)
            }

            fn decides_on_join(&self) -> bool {
                (**self).decides_on_join()
            }

            fn on_join(
                &self,
                span: &mut SamplingParameters<'_>,
                parent: ParentDecision,
            ) -> Option<Decision> {
                (**self).on_join(span, parent)
            }

            fn memory_bits(&self) -> u32 {
                (**self).memory_bits()
            }

            fn status(&self) -> SamplerStatus {
                (**self).status()
            }

            fn remote_counts(&self) -> RemoteCounts {
                (**self).remote_counts()
            }

            fn start(&self, host: &SamplerHost) -> Result<(), ConfigError> {
                (**self).start(host)
            }

            fn close(&self) {
                (**self).close();
            }
        }
    )*};
}

forward!(Arc: true, Box: false);
