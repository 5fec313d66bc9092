//! What a script of calls comes to: as jaeger-client-go has it, which must give what was recorded,
//! and as it is meant here, which must give what this client does.
//!
//! Where the two part, ours notes the reason. Go's side is written from what its spans do, call by
//! call; a case's name says nothing to either.

use std::collections::BTreeMap;

use crate::carrier::{Baggage, Ids, Pairs};
use crate::deviations;
use crate::extract_rules::{Found, Mended, escape, extract};
use crate::inject_rules::{To, kept, spaces_encoded};
use crate::lifecycle_control::{Restricting, Throttling};
use crate::lifecycle_options::{Numbers, Options};
use crate::lifecycle_samplers::{About, Answer, Question, Rules};
use crate::lifecycle_script::{Counters, Seen, Step, Then};
use crate::lifecycle_span_rules::logged;
use crate::lifecycle_spans::{Held, Reference, Reported, Tag};
use crate::sampling_rules::{Reasons, Side};
use crate::zipkin_rules::Given;

pub(crate) const SAMPLED: u8 = 1;
pub(crate) const DEBUG: u8 = 2;
const FIREHOSE: u8 = 8;

/// One side's tracer with all its spans.
pub(crate) struct World<'a> {
    pub(crate) side: Side,
    pub(crate) options: &'a Options,
    pub(crate) numbers: Numbers,
    pub(crate) sampler: Rules,
    pub(crate) throttling: Throttling,
    pub(crate) restricting: Restricting,
    pub(crate) states: Vec<State>,
    pub(crate) contexts: BTreeMap<String, Context>,
    pub(crate) spans: Vec<Span>,
    pub(crate) names: BTreeMap<String, usize>,
    /// Which spans came to the reporter; for ours, as they were then.
    pub(crate) reports: Vec<(usize, Option<Reported>)>,
    pub(crate) counters: Counters,
    pub(crate) reasons: Reasons,
}

/// What the spans of a trace share in a process.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    pub(crate) flags: u8,
    pub(crate) is_final: bool,
    pub(crate) local_root: u64,
    /// What samplers remember.
    pub(crate) memory: u64,
}

/// A context; that of a span, or another.
#[derive(Clone, Debug, Default)]
pub(crate) struct Context {
    /// Its flags are in its state.
    pub(crate) ids: Ids,
    pub(crate) baggage: Baggage,
    pub(crate) debug_id: Vec<u8>,
    /// None if it was extracted without a trace.
    pub(crate) state: Option<usize>,
    pub(crate) origin: Origin,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Origin {
    #[default]
    Span,
    Made,
    Extracted,
}

#[derive(Clone, Debug)]
pub(crate) struct Span {
    pub(crate) context: Context,
    pub(crate) operation: String,
    pub(crate) references: Vec<Reference>,
    pub(crate) tags: Vec<Kept>,
    pub(crate) logs: Vec<Vec<Tag>>,
    /// How many logs were overwritten.
    pub(crate) dropped: usize,
    pub(crate) first_in_process: bool,
    pub(crate) finished: bool,
}

/// A tag's key and value.
pub(crate) type Kept = (Vec<u8>, Given);

impl Context {
    pub(crate) fn is_valid(&self) -> bool {
        self.ids.is_valid()
    }
}

impl<'a> World<'a> {
    pub(crate) fn new(side: Side, options: &'a Options) -> Self {
        let mut numbers = options.numbers.clone();
        // The first number is the client's own.
        let uuid = numbers.next();
        let mut world = Self {
            side,
            options,
            numbers,
            sampler: Rules::new(side, &options.sampler),
            throttling: Throttling::new(side, &options.throttler, &options.service, uuid),
            restricting: Restricting::ALLOWED,
            states: Vec::new(),
            contexts: BTreeMap::new(),
            spans: Vec::new(),
            names: BTreeMap::new(),
            reports: Vec::new(),
            counters: Counters::new(),
            reasons: Reasons::new(),
        };
        if let Some(restrictions) = &options.restrictions {
            let (restricting, ok) = Restricting::new(side, restrictions, &mut world.reasons);
            world.restricting = restricting;
            let result = if ok { "ok" } else { "err" };
            world.count("baggage_restrictions_updates", &[("result", result)]);
        }
        world
    }

    pub(crate) fn ours(&self) -> bool {
        self.side == Side::Ours
    }

    pub(crate) fn count(&mut self, name: &str, tags: &[(&str, &str)]) {
        let tags: String = tags.iter().map(|(key, value)| format!("|{key}={value}")).collect();
        *self.counters.entry(format!("jaeger.tracer.{name}{tags}")).or_default() += 1;
    }

    pub(crate) fn id(&mut self) -> u64 {
        self.numbers.next_id()
    }

    pub(crate) fn new_state(&mut self, state: State) -> usize {
        self.states.push(state);
        self.states.len() - 1
    }

    fn span(&self, name: &str) -> Result<usize, String> {
        self.names.get(name).copied().ok_or_else(|| format!("no span {name:?}"))
    }

    pub(crate) fn context(&self, name: &str) -> Result<Context, String> {
        if let Some(at) = self.names.get(name) {
            return Ok(self.spans[*at].context.clone());
        }
        self.contexts.get(name).cloned().ok_or_else(|| format!("no span or context {name:?}"))
    }

    pub(crate) fn state(&self, context: &Context) -> State {
        context.state.map(|at| self.states[at].clone()).unwrap_or_default()
    }

    pub(crate) fn state_of(&mut self, span: usize) -> &mut State {
        let at = self.spans[span].context.state.unwrap_or_default();
        &mut self.states[at]
    }

    fn then(&self, span: usize) -> Then {
        let context = &self.spans[span].context;
        let state = self.state(context);
        let ids = Ids { flags: state.flags, ..context.ids.clone() };
        Then { ids, baggage: context.baggage.clone(), is_final: state.is_final }
    }

    /// Makes a call.
    pub(crate) fn step(&mut self, step: &Step) -> Result<Seen, String> {
        let span = match step {
            Step::NewContext { context, ids, baggage } => {
                let state = State { flags: ids.flags, ..State::default() };
                let state = Some(self.new_state(state));
                let (ids, baggage) = (ids.clone(), baggage.clone());
                let made = Context { ids, baggage, state, origin: Origin::Made, ..<_>::default() };
                self.contexts.insert(context.clone(), made);
                return Ok(Seen::default());
            }
            Step::Extract { context, http, carrier } => {
                let error = self.extract(context, *http, carrier).err();
                if error.is_some() {
                    self.contexts.insert(context.clone(), Context::default());
                }
                return Ok(Seen { error: error.map(str::to_owned), ..Seen::default() });
            }
            Step::Inject { of, http } => {
                let carrier = Some(self.inject(of, *http)?);
                return Ok(Seen { carrier, ..Seen::default() });
            }
            Step::Start { span, operation, references, tags } => {
                let at = self.start(operation, references, tags)?;
                self.names.insert(span.clone(), at);
                return Ok(Seen { then: Some(self.then(at)), ..Seen::default() });
            }
            Step::SetTag { span, .. }
            | Step::SetOperationName { span, .. }
            | Step::SetBaggage { span, .. }
            | Step::Log { span, .. }
            | Step::EnableFirehose { span }
            | Step::Finish { span, .. } => self.span(span)?,
        };
        let is_over = self.spans[span].finished && self.ours();
        if is_over {
            self.reasons.insert(deviations::FINISHED_ONCE);
        }
        match step {
            Step::Finish { logs, .. } => {
                let reported = !is_over && self.finish(span, logs);
                return Ok(Seen { reported: Some(reported), ..Seen::default() });
            }
            Step::Log { fields, .. } => {
                if !is_over {
                    self.log(span, fields.iter().map(logged).collect());
                }
                return Ok(Seen::default());
            }
            _ if is_over => {}
            Step::SetTag { tag, .. } => self.set_tag(span, tag),
            Step::SetOperationName { operation, .. } => {
                self.spans[span].operation.clone_from(operation);
                self.ask(span, Question::Renamed);
            }
            Step::SetBaggage { key, value, .. } => self.set_baggage(span, key, value),
            Step::EnableFirehose { .. } => self.state_of(span).flags |= FIREHOSE,
            _ => {}
        }
        Ok(Seen { then: Some(self.then(span)), ..Seen::default() })
    }

    fn extract(&mut self, name: &str, http: bool, carrier: &Pairs) -> Result<(), &'static str> {
        let names = self.options.names.clone();
        let found = if self.ours() {
            let found = extract(http, carrier, &names, Mended::ALL);
            for (deviation, mended) in Mended::all_but_one() {
                if extract(http, carrier, &names, mended) != found {
                    self.reasons.insert(deviation);
                }
            }
            found
        } else {
            extract(http, carrier, &names, Mended::default())
        };
        let found = found.inspect_err(|error| {
            // Only what is there and cannot be read is an error to be counted.
            if *error != "not_found" {
                self.count("span_context_decoding_errors", &[]);
            }
        })?;
        let trace_context =
            if self.ours() { names.trace_context.to_lowercase() } else { names.trace_context };
        let has_trace = carrier.iter().any(|(key, _)| key.to_lowercase() == trace_context);
        let flags = found.ids.flags;
        let state = has_trace.then(|| self.new_state(State { flags, ..State::default() }));
        let Found { ids, debug_id, baggage, broken } = found;
        if broken {
            self.count("span_context_decoding_errors", &[]);
        }
        let origin = Origin::Extracted;
        self.contexts.insert(name.to_owned(), Context { ids, baggage, debug_id, state, origin });
        Ok(())
    }

    fn inject(&mut self, name: &str, http: bool) -> Result<Pairs, String> {
        let context = self.context(name)?;
        let Ids { trace_high, trace_low, span, parent, .. } = context.ids;
        let high = if trace_high == 0 { String::new() } else { format!("{trace_high:016x}") };
        let flags = self.state(&context).flags;
        if context.origin != Origin::Span && self.has_spans_of(&context) && self.ours() {
            self.reasons.insert(deviations::JOINED_APART);
        }
        let trace = format!("{high}{trace_low:016x}:{span:016x}:{parent:016x}:{flags:x}");
        let names = self.options.names.clone();
        let mut carrier = vec![(names.trace_context, trace)];
        let kept = kept(&context.baggage, if http { To::Http } else { To::TextMap });
        if self.ours() && kept.len() < context.baggage.len() {
            self.reasons.insert(deviations::WRITTEN_AS_READ);
        }
        for (key, value) in &context.baggage {
            if self.ours() && !kept.contains(&key.as_str()) {
                continue;
            }
            let mut value =
                if http { escape(value) } else { String::from_utf8_lossy(value).into() };
            if self.ours() && http && value.contains('+') {
                value = spaces_encoded(&value);
                self.reasons.insert(deviations::SPACES_ENCODED);
            }
            carrier.push((format!("{}{key}", names.baggage_prefix), value));
        }
        carrier.sort();
        Ok(carrier)
    }

    /// Asks the sampler, unless it has decided, and does what it says.
    pub(crate) fn ask(&mut self, span: usize, question: Question<'_>) {
        let mut state = self.state_of(span).clone();
        if state.is_final {
            return;
        }
        let Span { context, operation, .. } = &self.spans[span];
        let about = About {
            id_low: context.ids.trace_low,
            operation,
            is_local_root: state.local_root == context.ids.span,
        };
        let answer = self.sampler.ask(question, about, &mut state.memory, &mut self.reasons);
        let Answer { sample, retryable, firehose, tags } = answer;
        state.is_final |= !retryable;
        if sample {
            state.flags |= if firehose { SAMPLED | FIREHOSE } else { SAMPLED };
            if let Some((kind, param)) = tags {
                let param = match param {
                    Held::Text(text) => Given::Text(text),
                    Held::Bool(truth) => Given::Bool(truth),
                    Held::Double(bits) => Given::Double(f64::from_bits(bits)),
                    Held::Long(long) => Given::Whole(i128::from(long), "*".to_owned()),
                    Held::Bytes(bytes) => Given::Bytes(bytes),
                };
                let kind = Given::Text(kind.as_bytes().to_vec());
                let tags = &mut self.spans[span].tags;
                tags.push((b"sampler.type".to_vec(), kind));
                tags.push((b"sampler.param".to_vec(), param));
            }
        }
        *self.state_of(span) = state;
    }

    /// What servers are asked.
    pub(crate) fn requests(&self) -> Vec<String> {
        let mut requests = Vec::new();
        if self.options.restrictions.is_some() {
            let service = escape(self.options.service.as_bytes());
            requests.push(format!("GET /baggageRestrictions?service={service}"));
        }
        requests.extend_from_slice(&self.throttling.requests);
        requests
    }
}

/// Bytes of a baggage value, where nobody restricts it further.
pub(crate) const MAX_BAGGAGE: usize = 2048;

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::json::{items, member, present};
    use crate::lifecycle_script::counters;

    /// What the rules of Go's side are worth: they give every word that was recorded, counters and
    /// finality included.
    #[test]
    fn gos_rules_give_all_that_was_recorded() {
        let file = include_str!("../../../tests/vectors/lifecycle_public.json");
        let file: Value = serde_json::from_str(file).unwrap();
        for case in items(&file, "cases").unwrap() {
            let name = case["name"].as_str().unwrap();
            let options = Options::read(member(case, "tracer").unwrap()).unwrap();
            let mut go = World::new(Side::Go, &options);
            for (number, step) in items(case, "steps").unwrap().iter().enumerate() {
                let (step, recorded) = Step::read(step).unwrap();
                let mut seen = go.step(&step).unwrap();
                if recorded.then.is_none() {
                    seen.then = None;
                }
                assert_eq!(seen, recorded, "{name} step {number}");
            }
            let spans = present(case, "reported_spans").map(|_| items(case, "reported_spans"));
            let spans = spans.transpose().unwrap().unwrap_or_default().iter().map(Reported::read);
            assert_eq!(go.reported(), spans.collect::<Result<Vec<_>, _>>().unwrap(), "{name}");
            assert_eq!(go.requests(), options.requests, "{name}");
            assert_eq!(go.counters, counters(case).unwrap(), "{name}");
            assert!(go.reasons.is_empty(), "{name}: only ours has reasons");
        }
    }
}
