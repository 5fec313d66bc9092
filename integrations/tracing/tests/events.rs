//! Events become logs of spans.

use tracing::field::FieldSet;
use tracing::metadata::Kind;
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Span, callsite, debug, error, info, info_span, warn};

use self::support::{Traced, Value};

mod support;

#[test]
fn an_event_is_a_log_with_its_message_level_target_and_fields() {
    let spans = Traced::default().run(|| {
        info_span!("op").in_scope(|| {
            warn!(attempt = 3_u64, ratio = 0.5, last = false, "retry of {}", "GET /");
            info!(target: "app::db", rows = -1);
            debug!(event = "named", "with a message");
        });
    });
    let span = spans.named("op");
    let expected = [
        ("event", "retry of GET /".into()),
        ("attempt", Value::Long(3)),
        ("ratio", Value::Double(0.5)),
        ("last", Value::Bool(false)),
        ("level", "WARN".into()),
        ("target", "events".into()),
    ];
    let read = |log: &[(String, Value)]| -> Vec<(String, Value)> { log.to_vec() };
    let expected: Vec<_> =
        expected.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    assert_eq!(read(&span.logs[0]), expected);
    let Some(Value::Text(name)) = span.log(1, "event") else { panic!("{span:?}") };
    assert!(name.starts_with("event ") && name.contains("events.rs:"), "{name}");
    assert_eq!(span.log(1, "target"), Some(&"app::db".into()));
    assert_eq!(span.log(1, "rows"), Some(&Value::Long(-1)));
    assert_eq!(span.log(2, "event"), Some(&"named".into()));
    assert_eq!(span.log(2, "message"), Some(&"with a message".into()));
}

#[test]
fn an_event_goes_to_its_own_parent_or_to_the_span_entered_or_is_counted() {
    let traced = Traced::default();
    let spans = traced.run(|| {
        let (entered, named) = (info_span!("entered"), info_span!("named"));
        entered.in_scope(|| {
            info!("here");
            info!(parent: &named, "there");
            info!(parent: None, "nowhere");
        });
        info!("outside");
    });
    let event = |name: &str| spans.named(name).log(0, "event").cloned();
    assert_eq!(event("entered"), Some("here".into()));
    assert_eq!(event("named"), Some("there".into()));
    assert_eq!(spans.named("entered").logs.len(), 1);
    assert_eq!(traced.handle.stats().events_without_span, 2);
}

#[test]
fn an_event_has_as_many_fields_as_it_was_given() {
    let spans = Traced::default().run(|| {
        info_span!("op").in_scope(|| {
            info!(a = 1, b = 2, c = 3, d = 4, e = 5, f = 6, g = 7, "ten with level and target");
            info!(a = 1, b = 2, c = 3, d = 4, e = 5, f = 6, g = 7, h = 8, "eleven");
            info!(
                a = 1,
                b = 2,
                c = 3,
                d = 4,
                e = 5,
                f = 6,
                g = 7,
                h = 8,
                i = 9,
                j = 10,
                k = 11,
                l = 12,
                m = 13,
                n = 14,
                o = 15,
                p = 16,
                "nineteen"
            );
        });
    });
    let counts: Vec<_> = spans.named("op").logs.iter().map(Vec::len).collect();
    assert_eq!(counts, [10, 11, 19]);
    assert_eq!(spans.named("op").log(2, "p"), Some(&Value::Long(16)));
}

#[test]
fn an_error_in_an_event_has_its_sources() {
    let spans = Traced::default().run(|| {
        let inner = std::io::Error::other("no route");
        let outer = std::io::Error::other(inner);
        let error: &(dyn std::error::Error + 'static) = &outer;
        info_span!("op").in_scope(|| error!(error, "cannot connect"));
    });
    let span = spans.named("op");
    assert_eq!(span.log(0, "error"), Some(&"no route".into()));
    assert_eq!(span.tag("error"), Some(&Value::Bool(true)));
}

#[test]
fn records_of_the_crate_log_have_the_target_they_were_written_with() {
    let traced = Traced::default();
    // For the whole process: nothing else here uses the crate `log`.
    tracing_log::LogTracer::init().unwrap();
    let spans = traced.run(|| {
        info_span!("op").in_scope(|| log::warn!(target: "old::module", "from {}", "log"));
    });
    let span = spans.named("op");
    let mut keys: Vec<_> = span.logs[0].iter().map(|(key, _)| key.as_str()).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["event", "level", "target"]);
    assert_eq!(span.log(0, "event"), Some(&"from log".into()));
    assert_eq!(span.log(0, "level"), Some(&"WARN".into()));
    assert_eq!(span.log(0, "target"), Some(&"old::module".into()));
}

/// What is dispatched as an event by code that made the metadata for a span or for neither.
#[test]
fn what_is_dispatched_as_an_event_is_logged_as_one_whatever_its_metadata_is_for() {
    struct Source;

    impl callsite::Callsite for Source {
        fn set_interest(&self, _: Interest) {}

        fn metadata(&self) -> &Metadata<'_> {
            &KINDS[0]
        }
    }

    const fn metadata(kind: Kind) -> Metadata<'static> {
        let fields = FieldSet::new(&["message"], callsite::Identifier(&Source));
        Metadata::new("of any kind", "app", Level::INFO, None, None, None, fields, kind)
    }

    static KINDS: [Metadata<'static>; 3] =
        [metadata(Kind::EVENT), metadata(Kind::SPAN), metadata(Kind::HINT)];

    for metadata in &KINDS {
        let spans = Traced::default().run(|| {
            info_span!("op").in_scope(|| {
                let message: &dyn tracing::Value = &"accepted";
                let values = [(&metadata.fields().field("message").unwrap(), Some(message))];
                let values = metadata.fields().value_set(&values);
                drop(Span::new(metadata, &values));
                Event::dispatch(metadata, &values);
            });
        });
        assert_eq!(spans.named("of any kind").text("message"), "accepted", "{metadata:?}");
        let log = [("event", "accepted"), ("level", "INFO"), ("target", "app")];
        let log = log.map(|(key, text)| (key.to_owned(), text.into()));
        assert_eq!(spans.named("op").logs, [log], "{metadata:?}");
    }
}
