//! Scripts of API calls: what each call shows, what came to the reporter, what servers were asked.
//!
//! A script is followed three times: by this client, and by the rules of both clients. This client
//! must do what its own rules say, at every step; where those part from what was recorded, Go's own
//! rules must give that, and there must be a reason.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use jaeger_client::metrics::InMemoryMetrics;
use jaeger_client::policy::{DebugThrottler, RemoteBaggageRestrictionManager, RemoteThrottler};
use jaeger_client::propagation::HttpHeaders;
use jaeger_client::{
    BaggageRestrictionsConfig, Closer, FinishOptions, IdGenerator, InMemoryReporter, LogRecord,
    ManualClock, Span, SpanContext, TagValue, ThrottlerConfig, Tracer, TracerBuilder,
};
use serde_json::Value;

use crate::carrier::{Ids, Pairs, baggage_of};
use crate::client::{self, PATIENCE};
use crate::datagrams_made::time;
use crate::extract_rules::unescape;
use crate::json::{items, member, only, present};
use crate::lifecycle_options::{Numbers, Options, Restrictions, Throttler};
use crate::lifecycle_rules::World;
use crate::lifecycle_script::{Counters, Field, Kind, Seen, Step, Then, counters};
use crate::lifecycle_spans::{Reported, compare};
use crate::report::Checks;
use crate::sampling_rules::{Side, expected};
use crate::server::Server;

pub(crate) fn run(case: &Value, checks: &mut Checks) -> Result<(), String> {
    only(case, &["category", "counters", "name", "note", "reported_spans", "steps", "tracer"])?;
    let options = Options::read(member(case, "tracer")?)?;
    let steps: Vec<_> =
        items(case, "steps")?.iter().map(Step::read).collect::<Result<_, String>>()?;
    let reported = present(case, "reported_spans");
    let reported = reported.map_or(Ok(&[][..]), |_| items(case, "reported_spans"))?;
    let reported: Vec<_> = reported.iter().map(Reported::read).collect::<Result<_, _>>()?;

    let mut go = World::new(Side::Go, &options);
    let mut ours = World::new(Side::Ours, &options);
    let mut client = Client::new(&options)?;
    for (number, (step, recorded)) in steps.iter().enumerate() {
        let what = format!("step {number} ({step})");
        let sides = (go.step(step)?, ours.step(step)?);
        let mut got = client.step(step)?;
        if let (Some(got), Some(ours)) = (&mut got.then, &sides.1.then) {
            // That shows in what later calls do; there is no call that tells it.
            got.is_final = ours.is_final;
        }
        let wanted =
            expected(checks, &what, recorded.clone(), shown(sides, recorded), &ours.reasons);
        checks.same(&what, &wanted, &shown((got, Seen::default()), recorded).0);
    }
    let sides = (go.reported(), ours.reported());
    let wanted = expected(checks, "reported spans", reported, sides, &ours.reasons);
    compare(&wanted, &client.reported(), checks);
    let sides = (go.counters.clone(), ours.counters.clone());
    let wanted = expected(checks, "counters", counters(case)?, sides, &ours.reasons);
    checks.same("counters", &wanted, &client.counters());
    let sides = (go.requests(), ours.requests());
    let wanted = expected(checks, "requests", options.requests.clone(), sides, &ours.reasons);
    checks.same("requests", &decoded(&wanted), &decoded(&client.requests()));
    client.close()
}

/// As far as the case shows it: where it says nothing of a context or of an end, nor do we.
fn shown((mut one, mut other): (Seen, Seen), recorded: &Seen) -> (Seen, Seen) {
    for seen in [&mut one, &mut other] {
        if recorded.then.is_none() {
            seen.then = None;
        }
        if recorded.reported.is_none() {
            seen.reported = None;
        }
    }
    (one, other)
}

/// Requests, whatever way their values are encoded.
fn decoded(requests: &[String]) -> Vec<String> {
    let decoded = |line: &String| {
        let bytes = unescape(line).unwrap_or_else(|| line.clone().into_bytes());
        String::from_utf8_lossy(&bytes).into_owned()
    };
    requests.iter().map(decoded).collect()
}

/// A generator that draws the numbers of a case.
#[derive(Debug)]
struct Drawing {
    numbers: Mutex<Numbers>,
    high: Option<u64>,
}

impl IdGenerator for Drawing {
    fn next(&self) -> u64 {
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner).next()
    }

    fn next_high(&self) -> u64 {
        self.high.unwrap_or_else(|| self.next())
    }
}

/// This client.
struct Client {
    tracer: Tracer,
    closer: Closer,
    memory: InMemoryReporter,
    metrics: InMemoryMetrics,
    spans: BTreeMap<String, Span>,
    contexts: BTreeMap<String, SpanContext>,
    /// Handles whose names were given to others: the last one would finish the span.
    kept: Vec<Span>,
    /// Those there are, who tells of baggage first.
    servers: Vec<Server>,
}

impl Client {
    fn new(options: &Options) -> Result<Self, String> {
        let metrics = InMemoryMetrics::new();
        let ids = Drawing { numbers: Mutex::new(options.numbers.clone()), high: options.high };
        let builder = client::builder(&options.service)
            .sampler(options.sampler.build()?)
            .id_generator(ids)
            .headers(options.names.config())
            // No time passes, so that no bucket fills.
            .clock(ManualClock::new())
            .trace_id_128bit(options.trace_id_128bit)
            .max_logs_per_span(options.max_logs)
            .max_tag_value_length(options.max_tag_value_length)
            .no_debug_flag_on_forced_sampling(options.no_debug_flag)
            .zipkin_shared_rpc_span(options.zipkin_shared)
            .metrics(metrics.clone());
        let mut servers = Vec::new();
        let builder = restricted(builder, options, &mut servers)?;
        let builder = throttled(builder, options, &mut servers)?;
        let (tracer, closer, memory) = client::in_memory(builder)?;
        if options.restrictions.is_some() {
            let mut waits = 0;
            while tracer.baggage_restriction_updates().ok + tracer.baggage_restriction_updates().err
                == 0
            {
                if Duration::from_millis(waits) > PATIENCE {
                    return Err("no answer about baggage came".to_owned());
                }
                std::thread::sleep(Duration::from_millis(1));
                waits += 1;
            }
        }
        let (spans, contexts) = (BTreeMap::new(), BTreeMap::new());
        Ok(Self { tracer, closer, memory, metrics, spans, contexts, kept: Vec::new(), servers })
    }

    fn span(&self, name: &str) -> Result<&Span, String> {
        self.spans.get(name).ok_or_else(|| format!("no span {name:?}"))
    }

    fn then(&self, span: &str) -> Result<Option<Then>, String> {
        let context = self.span(span)?.context();
        Ok(Some(Then { ids: Ids::of(&context), baggage: baggage_of(&context), is_final: false }))
    }

    fn step(&mut self, step: &Step) -> Result<Seen, String> {
        let span = match step {
            Step::NewContext { context, ids, baggage } => {
                let mut made = ids.context();
                for (key, value) in baggage {
                    let value = str::from_utf8(value).map_err(|_| "baggage that is not UTF-8")?;
                    made = made.with_baggage_item(key, value);
                }
                self.contexts.insert(context.clone(), made);
                return Ok(Seen::default());
            }
            Step::Extract { context, http, carrier } => {
                let extracted = if *http {
                    self.tracer.extract(&HttpHeaders(carrier.clone()))
                } else {
                    self.tracer.extract(carrier)
                };
                let error = match extracted {
                    Ok(extracted) => {
                        self.contexts.insert(context.clone(), extracted);
                        None
                    }
                    Err(error) => {
                        // An application goes on without a context, which is one without ids.
                        self.contexts.insert(context.clone(), Ids::default().context());
                        Some(client::error_kind(&error))
                    }
                };
                return Ok(Seen { error, ..Seen::default() });
            }
            Step::Inject { of, http } => {
                let carrier = Some(self.inject(of, *http)?);
                return Ok(Seen { carrier, ..Seen::default() });
            }
            Step::Start { span, operation, references, tags } => {
                self.start(span, operation, references, tags)?;
                span
            }
            Step::SetTag { span, tag } => {
                self.span(span)?.set_tag(&tag.key, &tag.value);
                span
            }
            Step::SetOperationName { span, operation } => {
                self.span(span)?.set_operation_name(operation.clone());
                span
            }
            Step::SetBaggage { span, key, value } => {
                self.span(span)?.set_baggage_item(key, value);
                span
            }
            Step::Log { span, fields } => {
                self.span(span)?.log(&borrowed(fields));
                return Ok(Seen::default());
            }
            Step::EnableFirehose { span } => {
                self.span(span)?.enable_firehose();
                span
            }
            Step::Finish { span, logs } => {
                let reported = Some(self.finish(span, logs)?);
                return Ok(Seen { reported, ..Seen::default() });
            }
        };
        Ok(Seen { then: self.then(span)?, ..Seen::default() })
    }

    fn inject(&self, name: &str, http: bool) -> Result<Pairs, String> {
        let context = match (self.spans.get(name), self.contexts.get(name)) {
            (Some(span), _) => span.context(),
            (None, Some(context)) => context.clone(),
            (None, None) => return Err(format!("no span or context {name:?}")),
        };
        let mut pairs = if http {
            let mut carrier = HttpHeaders(Pairs::new());
            self.tracer.inject(&context, &mut carrier);
            carrier.0
        } else {
            let mut carrier = Pairs::new();
            self.tracer.inject(&context, &mut carrier);
            carrier
        };
        pairs.sort();
        Ok(pairs)
    }

    fn start(
        &mut self,
        name: &str,
        operation: &str,
        references: &[(Kind, String)],
        tags: &[Field],
    ) -> Result<(), String> {
        let mut builder = self.tracer.span(operation.to_owned());
        for (kind, name) in references {
            builder = match (self.spans.get(name), self.contexts.get(name), kind) {
                (Some(span), _, Kind::ChildOf) => builder.child_of(span),
                (Some(span), _, Kind::FollowsFrom) => builder.follows_from(span),
                (Some(span), _, Kind::Itself) => builder.self_reference(span),
                (None, Some(context), Kind::ChildOf) => builder.child_of(context),
                (None, Some(context), Kind::FollowsFrom) => builder.follows_from(context),
                (None, Some(context), Kind::Itself) => builder.self_reference(context),
                (None, None, _) => return Err(format!("no span or context {name:?}")),
            };
        }
        let builder = tags.iter().fold(builder, |builder, tag| builder.tag(&tag.key, &tag.value));
        let span = builder.start();
        self.kept.extend(self.spans.insert(name.to_owned(), span));
        Ok(())
    }

    fn finish(&self, span: &str, logs: &[(i128, Vec<Field>)]) -> Result<bool, String> {
        let before = self.memory.len();
        if logs.is_empty() {
            self.span(span)?.finish();
        } else {
            let fields: Vec<_> = logs.iter().map(|(_, fields)| borrowed(fields)).collect();
            let moments = logs.iter().map(|(at, _)| time(*at));
            let moments: Vec<SystemTime> = moments.collect::<Result<_, _>>()?;
            let records = moments.into_iter().zip(&fields);
            let records: Vec<_> =
                records.map(|(timestamp, fields)| LogRecord { timestamp, fields }).collect();
            let options = FinishOptions { log_records: &records, ..FinishOptions::default() };
            self.span(span)?.finish_with(options);
        }
        Ok(self.memory.len() > before)
    }

    fn reported(&self) -> Vec<Reported> {
        self.memory.spans().iter().map(|span| Reported::of(span.view())).collect()
    }

    /// What is not zero. Go's reporter in memory counts no spans.
    fn counters(&self) -> Counters {
        let mut counters = self.metrics.counters();
        // What is asked aside, or again after a bad answer, takes as long as it takes.
        let aside = [".reporter_spans|", ".throttler_updates|"];
        counters.retain(|name, count| *count > 0 && !aside.iter().any(|part| name.contains(part)));
        let again = counters.get_mut("jaeger.tracer.baggage_restrictions_updates|result=err");
        again.into_iter().for_each(|count| *count = 1);
        counters
    }

    /// What the servers were asked. About baggage one is asked again until there is an answer, which
    /// takes as long as it takes.
    fn requests(&self) -> Vec<String> {
        let each = self.servers.iter().map(|server| {
            let mut requests = server.requests();
            if requests.iter().all(|line| line.starts_with("GET /baggageRestrictions?")) {
                requests.dedup();
            }
            requests
        });
        each.flatten().collect()
    }

    /// Ends it, with every span accounted for.
    fn close(self) -> Result<(), String> {
        drop((self.spans, self.kept));
        client::close(self.closer)
    }
}

fn borrowed(fields: &[Field]) -> Vec<(&str, TagValue<'_>)> {
    fields.iter().map(|field| (field.key.as_str(), TagValue::from(&field.value))).collect()
}

/// One that denies everything.
#[derive(Debug)]
struct Denying;

impl DebugThrottler for Denying {
    fn is_allowed(&self, _operation: &str) -> bool {
        false
    }
}

fn throttled(
    builder: TracerBuilder,
    options: &Options,
    servers: &mut Vec<Server>,
) -> Result<TracerBuilder, String> {
    let (answers, synchronous) = match &options.throttler {
        Throttler::AllowsAll => return Ok(builder),
        Throttler::DeniesAll => return Ok(builder.debug_throttler(Denying)),
        Throttler::Remote { answers, synchronous } => (answers, *synchronous),
    };
    let started = Server::start(answers.clone())?;
    let config = ThrottlerConfig {
        host_port: started.host_port().to_owned(),
        // What is asked aside is not part of a case.
        refresh_interval: Duration::from_secs(3600),
        synchronous_initialization: synchronous,
        ..ThrottlerConfig::default()
    };
    servers.push(started);
    let throttler = RemoteThrottler::new(&options.service, &config).map_err(client::refused)?;
    Ok(builder.debug_throttler(throttler))
}

fn restricted(
    builder: TracerBuilder,
    options: &Options,
    servers: &mut Vec<Server>,
) -> Result<TracerBuilder, String> {
    let Some(Restrictions { answers, deny_before }) = &options.restrictions else {
        return Ok(builder);
    };
    let started = Server::start(answers.clone())?;
    let config = BaggageRestrictionsConfig {
        deny_baggage_on_initialization_failure: *deny_before,
        host_port: started.host_port().to_owned(),
        // Once is all that counts.
        refresh_interval: Duration::from_secs(3600),
        ..BaggageRestrictionsConfig::default()
    };
    let manager = RemoteBaggageRestrictionManager::new(&options.service, &config);
    servers.push(started);
    Ok(builder.baggage_restriction_manager(manager.map_err(client::refused)?))
}
