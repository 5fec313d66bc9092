//! The probabilistic sampler: its boundary, its decisions, its tags, the rates it refuses.

use jaeger_client::encoding::TagView;
use jaeger_client::sampler::ProbabilisticSampler;
use jaeger_client::{IdGenerator, TraceId};
use serde_json::Value;

use crate::client;
use crate::deviations;
use crate::json::{bits, int, items, member, present, truth};
use crate::report::Checks;
use crate::zipkin_rules::{Given, held};

pub(crate) fn run(case: &Value, checks: &mut Checks) -> Result<(), String> {
    let rate = f64::from_bits(bits(member(case, "input")?, "rate_bits")?);
    let expected = member(case, "expected")?;
    let mut refused = present(expected, "error").map_or(Ok(false), |_| truth(expected, "error"))?;
    if rate.is_nan() && !refused {
        refused = true;
        checks.deviates(deviations::NOT_A_NUMBER);
    }
    let sampler = match (ProbabilisticSampler::new(rate), refused) {
        (Ok(sampler), false) => sampler,
        (sampler, _) => {
            checks.same("rate refused", &refused, &sampler.is_err());
            return Ok(());
        }
    };
    if present(expected, "boundary").is_some() {
        checks.same("boundary", &int(expected, "boundary")?, &sampler.boundary());
    }
    let mut sampled_id = None;
    if present(expected, "decisions").is_some() {
        for decision in items(expected, "decisions")? {
            let (low, sampled) = (bits(decision, "id_low")?, truth(decision, "sampled")?);
            // The upper half has no part in the decision.
            for high in [0, 1, u64::MAX] {
                let got = sampler.is_sampled(TraceId::new(high, low));
                checks.same(&format!("id {high:016x}{low:016x}"), &sampled, &got);
            }
            if sampled && low != 0 {
                sampled_id.get_or_insert(low);
            }
        }
    }
    if let (Some(tags), Some(id)) = (present(expected, "sampler_tags"), sampled_id) {
        tags_of_root(tags, sampler, id, checks)?;
    }
    Ok(())
}

/// Compares the tags that the sampler gives to the root of a trace.
fn tags_of_root(
    expected: &Value,
    sampler: ProbabilisticSampler,
    id: u64,
    checks: &mut Checks,
) -> Result<(), String> {
    let expected = expected.as_array().ok_or("sampler_tags is no array")?;
    let expected: Vec<_> = expected
        .iter()
        .map(|tag| Ok((crate::json::text(tag, "key")?.as_bytes().to_vec(), Given::read(tag)?)))
        .collect::<Result<_, String>>()?;
    let builder = client::builder("vectors").sampler(sampler).id_generator(Fixed(id));
    let (tracer, closer, reporter) = client::in_memory(builder)?;
    tracer.start_span("root").finish();
    client::close(closer)?;
    let got: Vec<Vec<_>> = reporter
        .spans()
        .iter()
        .map(|span| {
            let own = |tag: TagView<'_>| (tag.key.to_vec(), held(tag.value));
            span.view().tags().map(own).collect()
        })
        .collect();
    checks.same("sampler tags", &vec![expected], &got);
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
