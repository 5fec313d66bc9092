//! Samplers of lifecycle cases, built from a case's words, and whether they would still be asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use jaeger_client::encoding::ValueView;
use jaeger_client::sampler::{
    ConstSampler, Decision, GuaranteedThroughputSampler, MatchValue, OperationStrategies,
    PerOperationSampler, PrioritySampler, ProbabilisticSampler, RateLimitingSampler, Sampler,
    SamplingParameters, TagMatchingSampler,
};

use crate::client::refused;

/// What the recorded cases mean where they name a kind and do not repeat what it is made of.
const TAG_MATCHING: &str =
    "theKey; values good, 42 (firehose; JSON number), true, legacy (firehose)";
const PER_OPERATION: &str = "good=1, bad=0, default 0, lower bound 0";

/// Builds the sampler of words such as `priority(tag matching, const(false))`.
pub(crate) fn build(words: &str) -> Result<Box<dyn Sampler>, String> {
    let words = words.trim();
    let not_understood = || format!("sampler not understood: {words:?}");
    let number = |text: &str| text.trim().parse::<f64>().map_err(|_| not_understood());
    if let Some(rest) = words.strip_prefix("tag matching") {
        let values = if rest.is_empty() { Some(TAG_MATCHING) } else { rest.strip_prefix(": key ") };
        return values.and_then(tag_matching).ok_or_else(not_understood);
    }
    if let Some(rest) = words.strip_prefix("per-operation") {
        let (options, strategies) = rest.split_once(':').unwrap_or((rest, PER_OPERATION));
        let late = match options {
            "" => false,
            ", late binding" => true,
            _ => return Err(not_understood()),
        };
        let strategies = self::strategies(strategies).ok_or_else(not_understood)?;
        return Ok(Box::new(PerOperationSampler::new(&strategies).late_binding(late)));
    }
    let within = words.strip_suffix(')').and_then(|words| words.split_once('('));
    let (kind, within) = within.ok_or_else(not_understood)?;
    Ok(match kind {
        "const" => Box::new(ConstSampler::new(within.parse().map_err(|_| not_understood())?)),
        "probabilistic" => Box::new(ProbabilisticSampler::new(number(within)?).map_err(refused)?),
        "ratelimiting" => Box::new(RateLimitingSampler::new(number(within)?).map_err(refused)?),
        "guaranteed" | "lowerbound" => {
            let (bound, rate) = within.split_once(',').ok_or_else(not_understood)?;
            Box::new(GuaranteedThroughputSampler::new(number(bound)?, number(rate)?))
        }
        "priority" => {
            let mut all = PrioritySampler::new();
            for words in parts(within) {
                all = all.then(build(words)?);
            }
            Box::new(all.build().map_err(refused)?)
        }
        _ => return Err(not_understood()),
    })
}

/// Reads `theKey; values good, 42 (firehose; JSON number), true`.
fn tag_matching(words: &str) -> Option<Box<dyn Sampler>> {
    let (key, values) = words.split_once("; values ")?;
    let mut sampler = TagMatchingSampler::new(key.to_owned());
    for words in parts(values) {
        let remark = words.strip_suffix(')').and_then(|words| words.split_once(" ("));
        let (value, remarks) = remark.unwrap_or((words, ""));
        let mut remarks = remarks.split(';').map(str::trim).filter(|remark| !remark.is_empty());
        let known = |remark: &str| ["firehose", "JSON number", "JSON bool"].contains(&remark);
        if !remarks.clone().all(known) {
            return None;
        }
        // A number is a double, as it comes from JSON.
        let value: MatchValue = match (value.parse::<bool>(), value.parse::<f64>()) {
            (Ok(boolean), _) => boolean.into(),
            (_, Ok(number)) => number.into(),
            _ => value.to_owned().into(),
        };
        let firehose = remarks.any(|remark| remark == "firehose");
        sampler = if firehose { sampler.matching_firehose(value) } else { sampler.matching(value) };
    }
    Some(Box::new(sampler))
}

/// The parts between commas that are not within parentheses.
fn parts(words: &str) -> Vec<&str> {
    let mut depth = 0_i32;
    let between = words.split(move |letter| {
        depth += i32::from(letter == '(') - i32::from(letter == ')');
        letter == ',' && depth == 0
    });
    between.map(str::trim).filter(|part| !part.is_empty()).collect()
}

/// Reads `good=1, bad=0, default 0, lower bound 0`.
fn strategies(words: &str) -> Option<OperationStrategies> {
    let (mut default, mut bound, mut operations) = (0.0, 0.0, Vec::new());
    for part in parts(words) {
        if let Some(rate) = part.strip_prefix("default ") {
            default = rate.parse().ok()?;
        } else if let Some(lower) = part.strip_prefix("lower bound ") {
            bound = lower.parse().ok()?;
        } else {
            let (operation, rate) = part.split_once('=')?;
            operations.push((operation.to_owned(), rate.parse::<f64>().ok()?));
        }
    }
    let none = OperationStrategies::new(default, bound);
    Some(operations.into_iter().fold(none, |all, (name, rate)| all.operation(name, rate)))
}

/// The tag by which a script finds out whether a sampler is still asked about a span.
pub(crate) const PROBE: &str = "vectors.probe";

/// A sampler that notes when it is asked about [`PROBE`], which those inside do not see.
#[derive(Debug)]
pub(crate) struct Probed {
    pub(crate) sampler: Box<dyn Sampler>,
    pub(crate) is_requested: Arc<AtomicBool>,
}

impl Sampler for Probed {
    fn on_create_span(&self, span: &mut SamplingParameters<'_>) -> Decision {
        self.sampler.on_create_span(span)
    }

    fn may_defer(&self) -> bool {
        self.sampler.may_defer()
    }

    fn on_set_operation_name(&self, span: &mut SamplingParameters<'_>) -> Decision {
        self.sampler.on_set_operation_name(span)
    }

    fn on_set_tag(
        &self,
        span: &mut SamplingParameters<'_>,
        key: &str,
        value: ValueView<'_>,
    ) -> Decision {
        if key == PROBE {
            self.is_requested.store(true, Ordering::SeqCst);
            return Decision::retryable(false);
        }
        self.sampler.on_set_tag(span, key, value)
    }

    fn on_finish(&self, span: &mut SamplingParameters<'_>) -> Decision {
        self.sampler.on_finish(span)
    }

    fn memory_bits(&self) -> u32 {
        self.sampler.memory_bits()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samplers_are_read_from_a_cases_words() {
        for words in [
            "priority(tag matching, ratelimiting(2), const(false))",
            "tag matching: key k; values a, 4 (firehose), true (JSON bool)",
            "per-operation, late binding: a b=0.5, default 1, lower bound 2",
            "lowerbound(1, 0.5)",
        ] {
            assert!(build(words).is_ok(), "{words}");
        }
        for words in ["", "const", "const(maybe)", "tag matching: key k", "per-operation, never: "]
        {
            assert!(build(words).unwrap_err().contains("not understood"), "{words}");
        }
    }
}
