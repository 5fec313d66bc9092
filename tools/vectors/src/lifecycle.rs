//! Scripts of API calls: the result of each call, the reported spans, the requests to servers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use jaeger_client::metrics::InMemoryMetrics;
use jaeger_client::policy::{DebugThrottler, RemoteBaggageRestrictionManager, RemoteThrottler};
use jaeger_client::{
    BaggageRestrictionsConfig, Closer, FinishOptions, FinishedSpan, IdGenerator, InMemoryReporter,
    LogRecord, ManualClock, Span, SpanContext, TagValue, ThrottlerConfig, Tracer, TracerBuilder,
};
use serde_json::{Map, Value, json};

use crate::carrier::{
    Ids, Names, baggage, baggage_shown, extract, injected, pairs, shown_pairs, text_bytes,
};
use crate::client;
use crate::datagrams_made::time;
use crate::inject::made_with;
use crate::json::{boolean, integer, items, member, only, present, string, text, text_or_hex};
use crate::lifecycle_options::{DebugThrottling, Options, Response};
use crate::lifecycle_samplers::{self, PROBE, Probed};
use crate::model;
use crate::report::Checks;
use crate::server::Server;
use crate::value::{self, Field, recorded_tag};

pub(crate) fn run(case: &Value, checks: &mut Checks) -> Result<(), String> {
    only(case, "category counters name reported_spans steps tracer")?;
    let tracer = member(case, "tracer")?;
    let options = Options::read(tracer)?;
    let mut client = Client::new(&options, &Names::read(tracer)?)?;
    for (number, step) in items(case, "steps")?.iter().enumerate() {
        let mut got = client.step(step)?;
        let recorded = recorded_step(step)?;
        // As far as the case has it: contexts and ends are compared only if they were recorded.
        for key in ["then", "reported"] {
            if recorded.get(key).is_none() {
                got.as_object_mut().map(|got| got.remove(key));
            }
        }
        checks.compare(&format!("steps/{number}"), &recorded, &got);
    }
    let reported = present(case, "reported_spans").and_then(Value::as_array);
    let reported: Vec<_> =
        reported.into_iter().flatten().map(recorded_span).collect::<Result<_, _>>()?;
    let memory = client.memory.spans();
    let got: Vec<_> = memory.iter().map(shown_span).collect();
    let order =
        |spans: &[Value]| spans.iter().map(|span| span["spanId"].to_string()).collect::<Vec<_>>();
    let sorted = |mut ids: Vec<String>| {
        ids.sort();
        ids
    };
    if sorted(order(&reported)) == sorted(order(&got)) {
        checks.same("order of reported_spans", &order(&reported), &order(&got));
    }
    checks.compare("reported_spans", &by_id(reported), &by_id(got));
    checks.compare("counters", member(case, "counters")?, &client.counters());
    let [recorded, got] = [&options.requests_seen, &client.requests()].map(|lines| decoded(lines));
    checks.compare("requests", &recorded, &got);
    client.close()
}

/// Returns the result of a step, in one form.
fn recorded_step(step: &Value) -> Result<Value, String> {
    let mut seen = Map::new();
    for key in ["then", "reported", "error"] {
        seen.extend(present(step, key).map(|value| (key.to_owned(), value.clone())));
    }
    if present(step, "result").is_some() {
        seen.insert("result".to_owned(), shown_pairs(step, "result")?.into_iter().collect());
    }
    if let Some(Value::Object(items)) =
        seen.get_mut("then").and_then(|then| then.get_mut("baggage"))
    {
        for text in items.values_mut() {
            *text = Value::from(String::from_utf8_lossy(&text_bytes(text)?));
        }
    }
    Ok(seen.into())
}

/// A span that a case shows; members that are not known here stay, and differ.
fn recorded_span(span: &Value) -> Result<Value, String> {
    let tags = |of: &Value, key| -> Result<Value, String> {
        let list = present(of, key).and_then(Value::as_array);
        list.into_iter().flatten().map(recorded_tag).collect()
    };
    let mut shown = span.clone();
    let operation = string(member(span, "operationName")?)?;
    shown["operationName"] = Value::from(String::from_utf8_lossy(&operation));
    shown["tags"] = tags(span, "tags")?;
    for log in shown["logs"].as_array_mut().into_iter().flatten() {
        log["fields"] = tags(log, "fields")?;
    }
    Ok(shown)
}

/// Returns spans by their ids, so that a missing one is one difference. A span that is reported again has a
/// number too.
fn by_id(spans: Vec<Value>) -> Value {
    let mut all = Map::new();
    for span in spans {
        let id = span["spanId"].as_str().unwrap_or_default().to_owned();
        let again = (2..).map(|number| format!("{id}#{number}"));
        let free = [id.clone()].into_iter().chain(again).find(|key| !all.contains_key(key));
        all.insert(free.unwrap_or(id), span);
    }
    all.into()
}

/// A span that was reported, without its times, and without what this program added to it.
fn shown_span(span: &FinishedSpan) -> Value {
    let mut shown = model::shown_span(span.view());
    let members = shown.as_object_mut().into_iter();
    members.for_each(|members| members.retain(|key, _| key != "startTime" && key != "duration"));
    for log in shown["logs"].as_array_mut().into_iter().flatten() {
        log.as_object_mut().map(|log| log.remove("timestamp"));
    }
    let tags = shown["tags"].as_array_mut().into_iter();
    tags.for_each(|tags| tags.retain(|tag| tag["key"] != PROBE));
    shown
}

/// Requests, whatever way their values are encoded.
fn decoded(requests: &[String]) -> Value {
    let decoded = |line: &String| {
        let mut parts = line.split('%');
        let mut bytes = parts.next().unwrap_or_default().replace('+', " ").into_bytes();
        for part in parts {
            match part.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
                Some(byte) => bytes.extend([&[byte], part.as_bytes()[2..].as_ref()].concat()),
                None => bytes.extend([b"%", part.as_bytes()].concat()),
            }
        }
        Value::from(String::from_utf8_lossy(&bytes))
    };
    requests.iter().map(decoded).collect()
}

/// A generator that draws the numbers of a case, or 1, 2, 3, and so on.
#[derive(Debug)]
struct Drawing {
    numbers: Vec<u64>,
    drawn: AtomicUsize,
    high: Option<u64>,
}

impl IdGenerator for Drawing {
    fn next(&self) -> u64 {
        let drawn = self.drawn.fetch_add(1, Ordering::SeqCst);
        let number = self.numbers.get(drawn % self.numbers.len().max(1));
        number.copied().unwrap_or(drawn as u64 + 1)
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
    retained: Vec<Span>,
    /// The servers, that of baggage restrictions first.
    servers: Vec<Server>,
    /// Set by a sampler that may put decisions off, whenever it is asked about a probe.
    probe: Option<Arc<AtomicBool>>,
}

impl Client {
    fn new(options: &Options, names: &Names) -> Result<Self, String> {
        let metrics = InMemoryMetrics::new();
        let (numbers, high) = (options.numbers()?, options.high()?);
        let ids = Drawing { numbers, drawn: AtomicUsize::new(0), high };
        let mut sampler = lifecycle_samplers::build(&options.sampler)?;
        let probe = sampler.may_defer().then(Arc::default);
        if let Some(is_requested) = probe.clone() {
            sampler = Box::new(Probed { sampler, is_requested });
        }
        let builder = client::builder(options.service())
            .sampler(sampler)
            .id_generator(ids)
            .headers(names.config())
            // No time passes, so that no bucket fills.
            .clock(ManualClock::new())
            .trace_id_128bit(options.gen_128bit)
            .max_logs_per_span(options.max_logs_per_span)
            .max_tag_value_length(options.max_tag_value_length)
            .no_debug_flag_on_forced_sampling(options.no_debug_flag_on_forced_sampling)
            .zipkin_shared_rpc_span(options.zipkin_shared_rpc_span)
            .metrics(metrics.clone());
        let mut servers = Vec::new();
        let builder = restricted(builder, options, &mut servers)?;
        let builder = throttled(builder, options, &mut servers)?;
        let (tracer, closer, memory) = client::in_memory(builder)?;
        if options.baggage_restrictions.is_some() {
            client::wait_until("an answer about baggage", || {
                let updates = tracer.baggage_restriction_updates();
                updates.ok + updates.err > 0
            })?;
        }
        let (spans, contexts) = (BTreeMap::new(), BTreeMap::new());
        let retained = Vec::new();
        Ok(Self { tracer, closer, memory, metrics, spans, contexts, retained, servers, probe })
    }

    fn span(&self, step: &Value) -> Result<&Span, String> {
        let name = text(step, "span")?;
        self.spans.get(name).ok_or_else(|| format!("no span {name:?}"))
    }

    /// Makes a call, and returns its visible result.
    fn step(&mut self, step: &Value) -> Result<Value, String> {
        let call = text(step, "do")?;
        let known = match call {
            "start" => "operation references span tags then",
            "set_tag" => "span tag then",
            "set_operation_name" => "operation span then",
            "set_baggage" => "key span value value_is then",
            "log" => "fields span then",
            "enable_firehose" => "span then",
            "finish" => "log_records reported span then",
            "new_context" => "baggage context sampled trace_id_high trace_id_low span_id parent_id",
            "extract_http" | "extract_textmap" => "carrier context error",
            "inject_http" | "inject_textmap" => "context result span",
            other => return Err(format!("unknown call {other:?}")),
        };
        only(step, &format!("do {known}"))?;
        let http = call.ends_with("_http");
        match call {
            "new_context" => {
                let flags = u8::from(boolean(step, "sampled")?);
                let made = made_with(&Ids { flags, ..Ids::read(step)? }, &baggage(step)?)?;
                self.contexts.insert(text(step, "context")?.to_owned(), made);
                return Ok(json!({}));
            }
            "extract_http" | "extract_textmap" => {
                let carrier = pairs(step, "carrier")?;
                let extracted = extract(&self.tracer, http, carrier);
                let error = extracted.as_ref().err().map(client::error_kind);
                // An application goes on without a context, which is one without ids.
                let context = extracted.unwrap_or_else(|_| Ids::default().context());
                self.contexts.insert(text(step, "context")?.to_owned(), context);
                return Ok(json!({"error": error}));
            }
            "inject_http" | "inject_textmap" => {
                let name = text(step, "span").or_else(|_| text(step, "context"))?;
                let context = match (self.spans.get(name), self.contexts.get(name)) {
                    (Some(span), _) => span.context(),
                    (None, Some(context)) => context.clone(),
                    (None, None) => return Err(format!("no span or context {name:?}")),
                };
                return Ok(json!({"result": injected(&self.tracer, http, &context)}));
            }
            "start" => self.start(step)?,
            "set_tag" => {
                let tag = serde_json::json!({"tags": [member(step, "tag")?]});
                for (key, value) in fields(&tag, "tags", false)? {
                    self.span(step)?.set_tag(&key, &value);
                }
            }
            "set_operation_name" => {
                self.span(step)?.set_operation_name(text(step, "operation")?.to_owned());
            }
            "set_baggage" => {
                let value = text_or_hex(step, "value")?;
                let value = str::from_utf8(&value).map_err(|_| "baggage that is not UTF-8")?;
                self.span(step)?.set_baggage_item(text(step, "key")?, value);
            }
            "enable_firehose" => drop(self.span(step)?.enable_firehose()),
            "log" => {
                self.span(step)?.log(&borrowed(&fields(step, "fields", true)?));
                return Ok(json!({}));
            }
            _ => return Ok(json!({"reported": self.finish(step)?})),
        }
        self.then(step)
    }

    /// The context of the span, and whether no sampler is asked about it any more.
    fn then(&self, step: &Value) -> Result<Value, String> {
        let span = self.span(step)?;
        let is_requested = self.probe.as_ref().is_some_and(|is_requested| {
            is_requested.store(false, Ordering::SeqCst);
            span.set_tag(PROBE, true);
            is_requested.load(Ordering::SeqCst)
        });
        let context = span.context();
        let (high, low) = (context.trace_id().high(), context.trace_id().low());
        let high = if high == 0 { String::new() } else { format!("{high:016x}") };
        Ok(json!({"then": {
            "trace_id": format!("{high}{low:016x}"),
            "span_id": format!("{:016x}", context.span_id().get()),
            "parent_id": format!("{:016x}", context.parent_id().get()),
            "flags": context.flags(),
            "baggage": baggage_shown(&context),
            "final": !is_requested,
        }}))
    }

    fn start(&mut self, step: &Value) -> Result<(), String> {
        let mut builder = self.tracer.span(text(step, "operation")?.to_owned());
        for (kind, name) in pairs(step, "references")? {
            let (span, context) = (self.spans.get(&name), self.contexts.get(&name));
            builder = match (span, context, kind.as_str()) {
                (Some(span), _, "child_of") => builder.child_of(span),
                (Some(span), _, "follows_from") => builder.follows_from(span),
                (Some(span), _, "self") => builder.self_reference(span),
                (None, Some(context), "child_of") => builder.child_of(context),
                (None, Some(context), "follows_from") => builder.follows_from(context),
                (None, Some(context), "self") => builder.self_reference(context),
                _ => return Err(format!("no reference {kind:?} to a span or context {name:?}")),
            };
        }
        let tags = fields(step, "tags", false)?;
        let builder = tags.iter().fold(builder, |builder, (key, value)| builder.tag(key, value));
        let span = builder.start();
        self.retained.extend(self.spans.insert(text(step, "span")?.to_owned(), span));
        Ok(())
    }

    /// Returns whether the span came to the reporter.
    fn finish(&self, step: &Value) -> Result<bool, String> {
        let before = self.memory.len();
        let list = present(step, "log_records").and_then(Value::as_array);
        let mut logs: Vec<(SystemTime, Vec<Field>)> = Vec::new();
        for log in list.into_iter().flatten() {
            only(log, "fields timestamp_unix_ns")?;
            logs.push((time(integer(log, "timestamp_unix_ns")?)?, fields(log, "fields", true)?));
        }
        let fields: Vec<_> = logs.iter().map(|(_, fields)| borrowed(fields)).collect();
        let records = logs.iter().zip(&fields);
        let records: Vec<_> =
            records.map(|((at, _), fields)| LogRecord { timestamp: *at, fields }).collect();
        let span = self.span(step)?;
        if records.is_empty() {
            span.finish();
        } else {
            span.finish_with(FinishOptions { log_records: &records, ..FinishOptions::default() });
        }
        Ok(self.memory.len() > before)
    }

    /// Returns what is not zero. Go's reporter in memory counts no spans.
    fn counters(&self) -> Value {
        let mut counters = self.metrics.counters();
        // What is asked in the background, or again after a bad response, takes as long as it takes.
        let background = [".reporter_spans|", ".throttler_updates|"];
        counters
            .retain(|name, count| *count > 0 && !background.iter().any(|part| name.contains(part)));
        let again = counters.get_mut("jaeger.tracer.baggage_restrictions_updates|result=err");
        again.into_iter().for_each(|count| *count = 1);
        json!(counters)
    }

    /// Returns the requests to the servers. Those for baggage are repeated until there is a response, at any
    /// time.
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
        drop((self.spans, self.retained));
        client::close(self.closer)
    }
}

/// Keys and values that spans can be given.
fn fields(of: &Value, key: &str, log: bool) -> Result<Vec<Field>, String> {
    let not_utf8 = || String::from("a text that is not UTF-8, which spans cannot be given");
    value::fields(of, key, log)?.ok_or_else(not_utf8)
}

fn borrowed(fields: &[Field]) -> Vec<(&str, TagValue<'_>)> {
    fields.iter().map(|(key, value)| (key.as_str(), TagValue::from(value))).collect()
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
    if options.debug_throttler == Some(DebugThrottling::DeniesAll) {
        return Ok(builder.debug_throttler(Denying));
    }
    let Some(throttler) = &options.throttler else { return Ok(builder) };
    let started = Server::start(throttler.responses.iter().map(Response::parts).collect())?;
    let config = ThrottlerConfig {
        host_port: started.host_port().to_owned(),
        // A request on the side is not part of a case.
        refresh_interval: Duration::from_secs(3600),
        synchronous_initialization: throttler.synchronous_initialization,
        ..ThrottlerConfig::default()
    };
    servers.push(started);
    let throttler = RemoteThrottler::new(options.service(), &config).map_err(client::refused)?;
    Ok(builder.debug_throttler(throttler))
}

fn restricted(
    builder: TracerBuilder,
    options: &Options,
    servers: &mut Vec<Server>,
) -> Result<TracerBuilder, String> {
    let Some(restrictions) = &options.baggage_restrictions else { return Ok(builder) };
    let started = Server::start(restrictions.responses())?;
    let config = BaggageRestrictionsConfig {
        deny_baggage_on_initialization_failure: restrictions.deny_on_initialization_failure,
        host_port: started.host_port().to_owned(),
        // Once is all that counts.
        refresh_interval: Duration::from_secs(3600),
        ..BaggageRestrictionsConfig::default()
    };
    let manager = RemoteBaggageRestrictionManager::new(options.service(), &config);
    servers.push(started);
    Ok(builder.baggage_restriction_manager(manager.map_err(client::refused)?))
}
