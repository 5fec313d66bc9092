//! Fields of spans: their types, their last values, and those that mean something.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use std::error::Error;
use std::fmt;
use std::sync::{Arc, Mutex};

use jaeger_client::sampler::ConstSampler;
use jaeger_client::{ObservedSpan, Observer, ObserverInterest, TagValue, Tracer};
use tracing::field::{Empty, debug, display};
use tracing::{error, info, info_span};

use self::support::{Shown, Traced, Value};

mod support;

#[derive(Debug)]
struct Failure(&'static str, Option<Box<Self>>);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.1.as_deref().map(|source| source as _)
    }
}

fn failure() -> Failure {
    let refused = Failure("connection refused", None);
    let dial = Failure("cannot dial", Some(Box::new(refused)));
    Failure("query failed", Some(Box::new(dial)))
}

#[test]
fn every_type_of_value_is_what_it_was_on_first_spans_and_on_children() {
    let bytes: &[u8] = &[0, 159];
    let spans = Traced::default().run(|| {
        for name in ["root", "child"] {
            let make = || {
                info_span!(
                    "op",
                    otel.name = name,
                    i64 = -5_i64,
                    u64 = 5_u64,
                    u64_max = u64::MAX,
                    i128 = -6_i128,
                    i128_min = i128::MIN,
                    u128 = 6_u128,
                    u128_max = u128::MAX,
                    usize = 7_usize,
                    u8 = 8_u8,
                    f64 = 0.5,
                    boolean = true,
                    text = "é",
                    bytes,
                    debug = ?Some(1),
                    display = %"shown",
                    cause = &failure() as &(dyn Error + 'static),
                )
            };
            match name {
                "root" => drop(make()),
                _ => info_span!("above").in_scope(|| drop(make())),
            }
        }
    });
    for name in ["root", "child"] {
        let span = spans.named(name);
        let tags: Vec<_> =
            span.tags.iter().map(|(key, value)| (key.as_str(), value.clone())).collect();
        let expected = [
            ("i64", Value::Long(-5)),
            ("u64", Value::Long(5)),
            ("u64_max", "18446744073709551615".into()),
            ("i128", Value::Long(-6)),
            ("i128_min", "-170141183460469231731687303715884105728".into()),
            ("u128", Value::Long(6)),
            ("u128_max", "340282366920938463463374607431768211455".into()),
            ("usize", Value::Long(7)),
            ("u8", Value::Long(8)),
            ("f64", Value::Double(0.5)),
            ("boolean", Value::Bool(true)),
            ("text", "é".into()),
            ("bytes", Value::Binary(bytes.to_vec())),
            ("debug", "Some(1)".into()),
            ("display", "shown".into()),
            ("cause", "query failed".into()),
            ("cause.chain", "cannot dial: connection refused".into()),
        ];
        assert_eq!(tags, expected, "{name}");
    }
}

#[test]
fn a_field_recorded_late_or_again_has_its_last_value_at_every_stage_of_the_span() {
    let traced = Traced::default();
    let spans = traced.run(|| {
        let parent = info_span!("parent");
        for (name, parent) in [("root", None), ("child", Some(parent.id()))] {
            let span = match parent {
                None => info_span!(parent: None, "op", otel.name = name, early = 1, late = Empty, never = Empty),
                Some(id) => info_span!(parent: id, "op", otel.name = name, early = 1, late = Empty, never = Empty),
            };
            span.record("early", 2).record("late", "a");
            span.in_scope(|| {});
            span.record("late", "b").record("early", debug(3)).record("late", 4.5);
            span.record("unknown", 1);
        }
    });
    for name in ["root", "child"] {
        let span = spans.named(name);
        assert_eq!(span.tag("early"), Some(&Value::Text("3".into())));
        assert_eq!(span.tag("late"), Some(&Value::Double(4.5)));
        assert_eq!(span.tags.len(), 2, "{span:?}");
    }
}

#[test]
fn the_fields_of_opentelemetry_act_until_the_span_is_closed() {
    for enters in [false, true] {
        let traced = Traced::default();
        let spans = traced.run(|| {
            let parent = info_span!("parent");
            for explicit in [None, parent.id()] {
                let span = info_span!(
                    parent: explicit, "static name",
                    otel.name = "GET /", otel.kind = "SERVER", otel.status_code = "ERROR",
                    otel.status_message = Empty, span.kind = Empty
                );
                if enters {
                    span.in_scope(|| {});
                }
                span.record("otel.name", "GET /{id}");
                span.record("otel.kind", "client").record("otel.status_code", display("Ok"));
                span.record("span.kind", "producer");
                span.record("otel.status_message", "all well");
            }
        });
        let found = spans.0.iter().filter(|span| span.name == "GET /{id}");
        assert_eq!(found.clone().count(), 2, "{spans:?}");
        for span in found {
            assert_eq!(span.text("span.kind"), "producer");
            assert_eq!(span.text("otel.status_code"), "OK");
            assert_eq!(span.text("otel.status_description"), "all well");
            assert_eq!(span.tag("error"), Some(&Value::Bool(false)), "nothing says that it failed");
            assert_eq!(span.tags.len(), 4, "{span:?}");
        }
    }
}

#[test]
fn an_error_status_marks_the_span_as_jaeger_knows_it() {
    let spans = Traced::default().run(|| {
        let span = info_span!("op", otel.status_code = Empty, otel.status_description = Empty);
        span.in_scope(|| info!("working"));
        span.record("otel.status_code", "OK").record("otel.status_code", "error");
        span.record("otel.status_description", "timed out");
        drop(info_span!("unset", otel.status_code = "UNSET"));
    });
    let span = spans.named("op");
    assert_eq!(span.tag("error"), Some(&Value::Bool(true)));
    assert_eq!(span.text("otel.status_code"), "ERROR");
    assert_eq!(span.text("otel.status_description"), "timed out");
    assert_eq!(spans.named("unset").tags, []);
}

#[test]
fn a_field_error_marks_the_span_and_its_text_has_a_key_of_its_own() {
    let spans = Traced::default().run(|| {
        let text = info_span!("text", error = "boom");
        text.in_scope(|| {});
        text.record("error", "bang");
        drop(text);
        drop(info_span!("bool", error = false));
        drop(info_span!("object", error = &failure() as &(dyn Error + 'static)));
    });
    let text = spans.named("text");
    assert_eq!((text.tag("error"), text.text("error.message")), (Some(&Value::Bool(true)), "bang"));
    assert_eq!(spans.named("bool").tag("error"), Some(&Value::Bool(false)));
    let object = spans.named("object");
    assert_eq!(object.tag("error"), Some(&Value::Bool(true)));
    assert_eq!(object.text("error.message"), "query failed");
    assert_eq!(object.text("error.chain"), "cannot dial: connection refused");
}

#[test]
fn an_error_event_marks_its_span_unless_that_is_turned_off_or_the_status_says_otherwise() {
    for on in [true, false] {
        let traced = Traced::with(Tracer::builder("svc"), |layer| layer.error_events(on));
        let spans = traced.run(|| {
            info_span!("fails").in_scope(|| {
                error!("once");
                error!("twice");
            });
            let span = info_span!("recovers", otel.status_code = Empty);
            span.in_scope(|| error!("first try"));
            span.record("otel.status_code", "OK");
        });
        let expected = on.then_some(&Value::Bool(true));
        assert_eq!(spans.named("fails").tag("error"), expected);
        assert_eq!(spans.named("recovers").tag("error"), Some(&Value::Bool(false)));
    }
}

#[test]
fn a_span_that_is_not_sampled_formats_nothing() {
    let tracer = Tracer::builder("svc").sampler(ConstSampler::new(false));
    let traced = Traced::with(tracer, |layer| layer);
    let spans = traced.run(|| {
        info_span!("root").in_scope(|| {
            let span = info_span!("op", a = ?Shown(|| panic!("shown")), late = Empty);
            span.record("late", debug(Shown(|| panic!("shown"))));
            span.in_scope(|| info!(a = ?Shown(|| panic!("shown")), "event"));
        });
    });
    assert_eq!(spans.names().len(), 0);
    assert_eq!(traced.handle.stats().field_panics, 0);
    assert_eq!(traced.tracer.stats().not_sampled, 2);
}

#[test]
fn observers_get_formatted_values_as_they_get_others_whatever_is_sampled() {
    for is_sampled in [true, false] {
        let seen = Arc::new(ObservedTags::default());
        let tracer = Tracer::builder("svc")
            .sampler(ConstSampler::new(is_sampled))
            .observer(Arc::clone(&seen));
        Traced::with(tracer, |layer| layer).run(|| {
            let fields = |span: tracing::Span| {
                span.record("late.plain", "/late");
                span.record("late.debug", debug(Shown(|| "/late")));
                span.record("late.display", display("/late"));
                span
            };
            macro_rules! observed {
                ($name:literal $(, $special:ident = $value:literal)?) => {
                    fields(info_span!(
                        $name,
                        plain = "/early",
                        debug = ?Shown(|| "/early"),
                        display = %"/early",
                        late.plain = Empty,
                        late.debug = Empty,
                        late.display = Empty,
                        $($special = $value)?
                    ))
                };
            }
            let root = observed!("root");
            root.in_scope(|| {
                drop(observed!("child"));
                drop(observed!("child with a special field", error = false));
                let entered = observed!("entered child");
                entered.in_scope(|| {});
                drop(fields(entered));
            });
        });
        let seen = seen.0.lock().unwrap();
        let names = ["child", "child with a special field", "entered child", "root"];
        assert_eq!(seen.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), names);
        for (name, tags) in &*seen {
            let [early, late] = ["/early", "/late"].map(|text| Some(text.to_owned()));
            let expected = [&early, &early, &early, &late, &late, &late];
            assert!(tags.iter().eq(expected), "{name}, sampled {is_sampled}: {tags:?}");
        }
    }
}

/// The names of finished spans, and their tags with some keys.
#[derive(Debug, Default)]
struct ObservedTags(Mutex<Vec<(String, Vec<Option<String>>)>>);

impl ObservedTags {
    const KEYS: [&str; 6] =
        ["plain", "debug", "display", "late.plain", "late.debug", "late.display"];
}

impl Observer for ObservedTags {
    fn interest(&self) -> ObserverInterest {
        ObserverInterest::finished_spans(Self::KEYS)
    }

    fn on_span_finished(&self, span: &ObservedSpan<'_>) {
        let text = |key| match span.tag(key) {
            Some(TagValue::Str(text)) => Some(text.to_owned()),
            _ => None,
        };
        let tags = Self::KEYS.map(text).to_vec();
        self.0.lock().unwrap().push((span.operation_name().to_owned(), tags));
    }
}

#[test]
fn location_and_thread_are_tags_if_enabled() {
    let place = |layer: jaeger_client_tracing::JaegerLayerBuilder<_>| {
        layer.location(true).thread_names(true)
    };
    let spans = Traced::with(Tracer::builder("svc"), place).run(|| {
        info_span!("root").in_scope(|| drop(info_span!("child")));
    });
    for span in &spans.0 {
        assert!(span.text("code.file.path").ends_with("fields.rs"), "{span:?}");
        assert!(matches!(span.tag("code.line.number"), Some(Value::Long(line)) if *line > 200));
        assert!(span.text("thread.name").starts_with("location_and_thread"), "{span:?}");
    }
}
