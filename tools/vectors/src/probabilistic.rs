//! The probabilistic sampler: its boundary, its decisions, its tags, the rates it refuses.

use jaeger_client::sampler::ProbabilisticSampler;
use jaeger_client::{IdGenerator, TraceId};
use serde_json::Value;

use crate::client;
use crate::deviations::{self, Rule};
use crate::json::{bits, boolean, int, items, member, present};
use crate::report::Checks;
use crate::value::{recorded_tag, shown_tag};

pub(crate) fn run(case: &Value, checks: &mut Checks) -> Result<(), String> {
    let rate = f64::from_bits(bits(member(case, "input")?, "rate_bits")?);
    let expected = member(case, "expected")?;
    let refused = present(expected, "error").map_or(Ok(false), |_| boolean(expected, "error"))?;
    let sampler = ProbabilisticSampler::new(rate);
    checks.same("error", &refused, &sampler.is_err());
    let (Ok(sampler), false) = (sampler, refused) else { return Ok(()) };
    if present(expected, "boundary").is_some() {
        checks.same("boundary", &int(expected, "boundary")?, &sampler.boundary());
    }
    let mut sampled_id = None;
    let decisions = present(expected, "decisions");
    for decision in decisions.map_or(Ok(&[][..]), |_| items(expected, "decisions"))? {
        let (low, sampled) = (bits(decision, "id_low")?, boolean(decision, "sampled")?);
        // The upper half has no part in the decision.
        for high in [0, 1, u64::MAX] {
            let got = sampler.is_sampled(TraceId::new(high, low));
            checks.same(&format!("id {high:016x}{low:016x}"), &sampled, &got);
        }
        sampled_id = sampled_id.or_else(|| (sampled && low != 0).then_some(low));
    }
    // The tags that the sampler gives to the root of a trace.
    if let (Some(_), Some(id)) = (present(expected, "sampler_tags"), sampled_id) {
        let tags = items(expected, "sampler_tags")?.iter().map(recorded_tag);
        let builder = client::builder("vectors").sampler(sampler).id_generator(Fixed(id));
        let (tracer, closer, reporter) = client::in_memory(builder)?;
        tracer.start_span("root").finish();
        client::close(closer)?;
        let spans = reporter.spans();
        let got: Vec<_> = spans
            .iter()
            .flat_map(|span| span.view().tags().map(shown_tag).collect::<Vec<_>>())
            .collect();
        let recorded = tags.collect::<Result<Vec<_>, _>>()?;
        checks.compare("sampler_tags", &recorded.into(), &got.into());
    }
    Ok(())
}

/// Gives one id for ever.
#[derive(Debug)]
struct Fixed(u64);

impl IdGenerator for Fixed {
    fn next(&self) -> u64 {
        self.0
    }
}

/// Why a sampler may be refused that was made when it was recorded.
pub(crate) const RULES: &[Rule] = &[(deviations::NOT_A_NUMBER, |case, at| {
    let rate = bits(&case["input"], "rate_bits").map(f64::from_bits);
    at.place == "error" && at.got == "true" && rate.is_ok_and(f64::is_nan)
})];
