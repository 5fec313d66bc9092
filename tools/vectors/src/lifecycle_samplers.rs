//! Samplers of lifecycle cases: read from a case's words, built of this client's parts, and once
//! more as rules, jaeger-client-go's and those meant here.

use jaeger_client::sampler::{
    ConstSampler, GuaranteedThroughputSampler, OperationStrategies, PerOperationSampler,
    PrioritySampler, ProbabilisticSampler, RateLimitingSampler, Sampler, TagMatchingSampler,
};

use crate::client::refused;
use crate::deviations;
use crate::lifecycle_spans::Held;
use crate::sampling_rules::{
    Bucket, Guaranteed, PerOperation, Reasons, Side, Strategies, bits, sampled,
};
use crate::zipkin_rules::Given;

/// What a case says of a sampler.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Spec {
    Const(bool),
    Probabilistic(f64),
    RateLimiting(f64),
    /// Lower bound and share.
    Guaranteed(f64, f64),
    PerOperation {
        strategies: Strategies,
        late: bool,
    },
    /// A key, and values with whether they mean firehose.
    TagMatching(String, Vec<(Wanted, bool)>),
    Priority(Vec<Self>),
}

/// A value of a tag that is looked for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Wanted {
    Text(String),
    Bool(bool),
    /// A number, which is a double, as it comes from JSON.
    Number(f64),
}

/// What the recorded cases mean where they name a kind and do not repeat what it is made of.
const TAG_MATCHING: &str =
    "tag matching: key theKey; values good, 42 (firehose; JSON number), true, legacy (firehose)";
const PER_OPERATION: &str = "good=1, bad=0, default 0, lower bound 0";

impl Spec {
    /// Reads words such as `priority(tag matching, const(false))`.
    pub(crate) fn read(words: &str) -> Result<Self, String> {
        let words = words.trim();
        let not_understood = || format!("sampler not understood: {words:?}");
        let number = |text: &str| text.trim().parse::<f64>().map_err(|_| not_understood());
        if let Some(values) = words.strip_prefix("tag matching: key ") {
            return Self::tag_matching(values).ok_or_else(not_understood);
        }
        if words == "tag matching" {
            return Self::read(TAG_MATCHING);
        }
        if let Some(rest) = words.strip_prefix("per-operation") {
            let (options, strategies) = rest.split_once(':').unwrap_or((rest, PER_OPERATION));
            let late = match options {
                "" => false,
                ", late binding" => true,
                _ => return Err(not_understood()),
            };
            let strategies = self::strategies(strategies).ok_or_else(not_understood)?;
            return Ok(Self::PerOperation { strategies, late });
        }
        let within = words.strip_suffix(')').and_then(|words| words.split_once('('));
        let (kind, within) = within.ok_or_else(not_understood)?;
        Ok(match kind {
            "const" => Self::Const(within.parse().map_err(|_| not_understood())?),
            "probabilistic" => Self::Probabilistic(number(within)?),
            "ratelimiting" => Self::RateLimiting(number(within)?),
            "guaranteed" | "lowerbound" => {
                let (bound, rate) = within.split_once(',').ok_or_else(not_understood)?;
                Self::Guaranteed(number(bound)?, number(rate)?)
            }
            "priority" => {
                Self::Priority(parts(within).into_iter().map(Self::read).collect::<Result<_, _>>()?)
            }
            _ => return Err(not_understood()),
        })
    }

    /// Reads `theKey; values good, 42 (firehose; JSON number), true`.
    fn tag_matching(words: &str) -> Option<Self> {
        let (key, values) = words.split_once("; values ")?;
        let value = |words: &str| {
            let (value, remark) = match words.strip_suffix(')').and_then(|w| w.split_once(" (")) {
                Some((value, remark)) => (value, remark),
                None => (words, ""),
            };
            let wanted = match (value.parse::<bool>(), value.parse::<f64>()) {
                (Ok(truth), _) => Wanted::Bool(truth),
                (_, Ok(number)) => Wanted::Number(number),
                _ => Wanted::Text(value.to_owned()),
            };
            let mut remarks = remark.split(';').map(str::trim).filter(|remark| !remark.is_empty());
            let known = |remark: &str| ["firehose", "JSON number", "JSON bool"].contains(&remark);
            remarks.clone().all(known).then(|| (wanted, remarks.any(|remark| remark == "firehose")))
        };
        let values = parts(values).into_iter().map(value).collect::<Option<_>>()?;
        Some(Self::TagMatching(key.to_owned(), values))
    }

    /// This client's sampler.
    pub(crate) fn build(&self) -> Result<Box<dyn Sampler>, String> {
        Ok(match self {
            Self::Const(sample) => Box::new(ConstSampler::new(*sample)),
            Self::Probabilistic(rate) => {
                Box::new(ProbabilisticSampler::new(*rate).map_err(refused)?)
            }
            Self::RateLimiting(rate) => Box::new(RateLimitingSampler::new(*rate).map_err(refused)?),
            Self::Guaranteed(bound, rate) => {
                Box::new(GuaranteedThroughputSampler::new(*bound, *rate))
            }
            Self::PerOperation { strategies, late } => {
                let all = OperationStrategies::new(strategies.default_rate, strategies.lower_bound);
                let each = strategies.operations.iter();
                let all = each.fold(all, |all, (name, rate)| all.operation(name.clone(), *rate));
                Box::new(PerOperationSampler::new(&all).late_binding(*late))
            }
            Self::TagMatching(key, values) => {
                let none = TagMatchingSampler::new(key.clone());
                Box::new(values.iter().fold(none, |sampler, (wanted, firehose)| {
                    let value = match wanted {
                        Wanted::Text(text) => text.clone().into(),
                        Wanted::Bool(truth) => (*truth).into(),
                        Wanted::Number(number) => (*number).into(),
                    };
                    let value: jaeger_client::sampler::MatchValue = value;
                    if *firehose {
                        sampler.matching_firehose(value)
                    } else {
                        sampler.matching(value)
                    }
                }))
            }
            Self::Priority(samplers) => {
                let mut all = PrioritySampler::new();
                for sampler in samplers {
                    all = all.then(sampler.build()?);
                }
                Box::new(all.build().map_err(refused)?)
            }
        })
    }
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
fn strategies(words: &str) -> Option<Strategies> {
    let mut strategies = Strategies::default();
    for part in parts(words) {
        if let Some(rate) = part.strip_prefix("default ") {
            strategies.default_rate = rate.parse().ok()?;
        } else if let Some(bound) = part.strip_prefix("lower bound ") {
            strategies.lower_bound = bound.parse().ok()?;
        } else {
            let (operation, rate) = part.split_once('=')?;
            strategies.operations.push((operation.to_owned(), rate.parse().ok()?));
        }
    }
    Some(strategies)
}

/// When a sampler is asked.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Question<'a> {
    Created,
    Renamed,
    Tag(&'a str, &'a Given),
    Finished,
}

/// What it is asked about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct About<'a> {
    pub(crate) id_low: u64,
    pub(crate) operation: &'a str,
    pub(crate) is_local_root: bool,
}

/// What a sampler says.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Answer {
    pub(crate) sample: bool,
    pub(crate) retryable: bool,
    pub(crate) firehose: bool,
    /// Kind and parameter.
    pub(crate) tags: Option<(&'static str, Held)>,
}

impl Answer {
    const UNDECIDED: Self = Self { sample: false, retryable: true, firehose: false, tags: None };

    fn decided(tags: Option<(&'static str, Held)>) -> Self {
        Self { sample: tags.is_some(), tags, ..Self::default() }
    }
}

/// A sampler as rules.
#[derive(Debug)]
pub(crate) struct Rules {
    side: Side,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Const(bool),
    Probabilistic(f64),
    RateLimiting(f64, Bucket),
    Guaranteed(Guaranteed),
    PerOperation(PerOperation, bool),
    TagMatching(String, Vec<(Wanted, bool)>),
    Priority(Vec<Rules>),
}

impl Rules {
    pub(crate) fn new(side: Side, spec: &Spec) -> Self {
        let kind = match spec {
            Spec::Const(sample) => Kind::Const(*sample),
            Spec::Probabilistic(rate) => Kind::Probabilistic(*rate),
            Spec::RateLimiting(rate) => Kind::RateLimiting(*rate, Bucket::of_traces(side, *rate)),
            Spec::Guaranteed(bound, rate) => Kind::Guaranteed(Guaranteed::new(side, *bound, *rate)),
            Spec::PerOperation { strategies, late } => {
                Kind::PerOperation(PerOperation::new(side, strategies, MAX_OPERATIONS), *late)
            }
            Spec::TagMatching(key, values) => Kind::TagMatching(key.clone(), values.clone()),
            Spec::Priority(samplers) => {
                Kind::Priority(samplers.iter().map(|spec| Self::new(side, spec)).collect())
            }
        };
        Self { side, kind }
    }

    /// Asks; `memory` has a bit for each sampler of the trace's that is not to be asked again. No time
    /// passes in a case.
    pub(crate) fn ask(
        &mut self,
        question: Question<'_>,
        about: About<'_>,
        memory: &mut u64,
        reasons: &mut Reasons,
    ) -> Answer {
        let asks_for_trace = matches!(question, Question::Created | Question::Renamed);
        match &mut self.kind {
            Kind::TagMatching(key, values) => match question {
                Question::Tag(name, value) if name == key => {
                    matched(self.side, key, values, value, reasons)
                }
                _ => Answer::UNDECIDED,
            },
            Kind::Priority(samplers) => {
                let mut retryable = false;
                for (sampler, bit) in samplers.iter_mut().zip((0..64).map(|at| 1_u64 << at)) {
                    if *memory & bit != 0 {
                        continue;
                    }
                    let answer = sampler.ask(question, about, &mut 0, reasons);
                    if !answer.retryable {
                        *memory |= bit;
                    }
                    if answer.sample {
                        return answer;
                    }
                    retryable |= answer.retryable;
                }
                Answer { retryable, ..Answer::default() }
            }
            _ if !asks_for_trace => Answer::UNDECIDED,
            Kind::Const(sample) => Answer::decided(sample.then_some(("const", Held::Bool(true)))),
            Kind::Probabilistic(rate) => {
                let is_sampled = sampled(*rate, about.id_low);
                Answer::decided(is_sampled.then(|| ("probabilistic", Held::Double(bits(*rate)))))
            }
            Kind::RateLimiting(rate, bucket) => {
                if self.side == Side::Ours && *rate <= 0.0 {
                    reasons.insert(deviations::ZERO_IS_NONE);
                }
                let passed = bucket.check(1.0, 0, reasons);
                Answer::decided(passed.then(|| ("ratelimiting", Held::Double(bits(*rate)))))
            }
            Kind::Guaranteed(guaranteed) => {
                Answer::decided(named(guaranteed.decide(about.id_low, 0, reasons)))
            }
            Kind::PerOperation(operations, late) => {
                let tags = if about.is_local_root {
                    operations.decide(about.operation, about.id_low, 0, reasons)
                } else {
                    operations.learn(about.operation);
                    None
                };
                let retryable = *late && matches!(question, Question::Created);
                Answer { retryable, ..Answer::decided(named(tags)) }
            }
        }
    }
}

fn matched(
    side: Side,
    key: &str,
    values: &[(Wanted, bool)],
    value: &Given,
    reasons: &mut Reasons,
) -> Answer {
    let is = |wanted: &Wanted| match (wanted, value) {
        (Wanted::Text(text), Given::Text(value)) => text.as_bytes() == value,
        (Wanted::Bool(truth), Given::Bool(value)) => truth == value,
        (Wanted::Number(number), Given::Double(value)) => number == value,
        _ => false,
    };
    // What this client's samplers see is what will be sent: widened, or as text.
    let seen = |wanted: &Wanted| match (wanted, value) {
        (Wanted::Text(text), Given::Other(value, _)) => text.as_bytes() == value,
        (Wanted::Number(number), Given::Float(value)) => *number == f64::from(*value),
        _ => false,
    };
    // Of several for the same value the last counts.
    let mut found = values.iter().rev().find(|(wanted, _)| is(wanted));
    if side == Side::Ours && found.is_none() {
        found = values.iter().rev().find(|(wanted, _)| seen(wanted));
        if found.is_some() {
            reasons.insert(deviations::TAGS_AS_SENT);
        }
    }
    let Some((wanted, firehose)) = found else { return Answer::UNDECIDED };
    let text = match wanted {
        Wanted::Text(text) => text.clone(),
        Wanted::Bool(truth) => truth.to_string(),
        Wanted::Number(number) => number.to_string(),
    };
    let param = Held::Text(format!("{key}={text}").into_bytes());
    Answer { firehose: *firehose, ..Answer::decided(Some(("TagMatchingSampler", param))) }
}

/// The tags of a sampler that counts.
fn named(tags: Option<Vec<(String, u64)>>) -> Option<(&'static str, Held)> {
    let (kind, param) = tags?.into_iter().next()?;
    let kind = if kind == "probabilistic" { "probabilistic" } else { "lowerbound" };
    Some((kind, Held::Double(param)))
}

/// Both clients' default.
const MAX_OPERATIONS: usize = 2000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samplers_are_read_from_a_cases_words() {
        let priority = Spec::read("priority(tag matching, ratelimiting(2), const(false))").unwrap();
        let Spec::Priority(samplers) = priority else { panic!("{priority:?}") };
        assert_eq!(samplers[0], Spec::read(TAG_MATCHING).unwrap());
        assert_eq!(samplers[1..], [Spec::RateLimiting(2.0), Spec::Const(false)]);
        let Spec::TagMatching(key, values) = &samplers[0] else { panic!("{samplers:?}") };
        let text = |text: &str| Wanted::Text(text.to_owned());
        let number = (Wanted::Number(42.0), true);
        let wanted =
            [(text("good"), false), number, (Wanted::Bool(true), false), (text("legacy"), true)];
        assert_eq!((key.as_str(), &values[..]), ("theKey", &wanted[..]));
        let spec = Spec::read("per-operation, late binding: a b=0.5, default 1, lower bound 2");
        let operations = vec![("a b".to_owned(), 0.5)];
        let strategies = Strategies { default_rate: 1.0, lower_bound: 2.0, operations };
        assert_eq!(spec, Ok(Spec::PerOperation { strategies, late: true }));
        for words in ["", "const", "const(maybe)", "tag matching: key k", "per-operation, never: "]
        {
            assert!(Spec::read(words).unwrap_err().contains("not understood"), "{words}");
        }
    }
}
