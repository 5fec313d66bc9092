//! A tracer's metrics in a short form.

use std::collections::BTreeMap;

use jaeger_client::metrics::InMemoryMetrics;

/// Returns what is not zero, without the names' common beginning.
pub(crate) fn counters(metrics: &InMemoryMetrics) -> BTreeMap<String, u64> {
    let short = |(name, count): (String, u64)| {
        (count > 0).then(|| (name.strip_prefix("jaeger.tracer.").unwrap().to_owned(), count))
    };
    metrics.counters().into_iter().filter_map(short).collect()
}
