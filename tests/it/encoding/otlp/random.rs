//! Spans with everything that a span can have, and much that it should not; the same for one seed.

use super::expected::{ALL_TRIMMED, LOGS_TRIMMED};
use crate::support::Seeded;
use crate::support::read::{Log, Span, Tag, Value};

#[derive(Debug)]
pub(crate) struct Random(Seeded);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        let mut seeded = Seeded::new(seed + 1);
        for _ in 0..8 {
            seeded.next();
        }
        Self(seeded)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.0.below(bound as u64)).unwrap()
    }

    fn one_in(&mut self, chances: u64) -> bool {
        self.0.below(chances) == 0
    }

    fn id(&mut self) -> u64 {
        let any = self.0.next();
        self.0.pick([any, any, any, any >> 1, 0, 1, 1 << 63, u64::MAX])
    }

    fn long(&mut self) -> i64 {
        let any = self.0.next().cast_signed();
        let power = (1_u64 << self.0.below(64)).cast_signed();
        let near = [power, power.wrapping_sub(1), power.wrapping_neg()];
        let near = self.0.pick(near);
        self.0.pick([any, near, near, 0, -1, 1, i64::MIN, i64::MAX])
    }

    /// A moment in this century mostly, and else at the limits.
    fn micros(&mut self) -> i64 {
        let any = self.long();
        let usual = 1_700_000_000_000_000 + self.0.below(1 << 40).cast_signed();
        self.0.pick([usual, usual, usual, any])
    }

    fn text(&mut self) -> String {
        let long = self.below(20_000);
        let kind = self.below(40);
        match kind {
            0..5 => String::new(),
            5..8 => "žluťoučký 馬 🐎 e\u{301}".to_owned(),
            8..11 => "\u{0}\r\n\t\"\\</script>\u{2028}\u{feff}".to_owned(),
            11 if self.one_in(20) => "x".repeat(long),
            12..16 => "é".repeat(long % 200),
            _ => "abcdefghijklmnopqrstuvwxyz0123456789"[..long % 37].to_owned(),
        }
    }

    fn value(&mut self) -> Value {
        let doubles = [0.1, -0.0, 1e300, 5e-324, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 3.0];
        match self.below(6) {
            0 | 1 => Value::Str(self.text()),
            2 => Value::Long(self.long()),
            3 => Value::Bool(self.one_in(2)),
            4 if self.one_in(2) => Value::Double(f64::from_bits(self.0.next())),
            4 => Value::Double(self.0.pick(doubles)),
            _ => Value::Binary((0..=u8::MAX).cycle().take(self.below(300)).collect()),
        }
    }

    fn tag(&mut self) -> Tag {
        let key = match self.below(4) {
            0 => self.text(),
            _ => format!("key-{}", self.below(30)),
        };
        (key, self.value())
    }

    /// A tag that OTLP has another place for, with a value that it should or should not have.
    fn special_tag(&mut self) -> Tag {
        let key = self.0.pick([
            "span.kind",
            "error",
            "otel.status_code",
            "otel.status_description",
            "http.status_code",
            "http.response.status_code",
            "http.status_message",
            "w3c.tracestate",
            "otel.scope.name",
            "otel.scope.version",
            "jaeger.trimmed",
            "event",
            "dropped_log_count",
        ]);
        let known = match key {
            "span.kind" => {
                self.0.pick(["client", "server", "producer", "consumer", "internal", "Client"])
            }
            "error" => self.0.pick(["true", "true", "false", "True", "no"]),
            "otel.status_code" => self.0.pick(["OK", "ok", "ERROR", "Error", "UNSET", "bad"]),
            "jaeger.trimmed" => self.0.pick([LOGS_TRIMMED, LOGS_TRIMMED, ALL_TRIMMED]),
            "event" => "dropped Span logs",
            _ => self.0.pick(["a=1,b=2", "404", "500", "+200", "4x", "words"]),
        };
        let number = self.0.pick([-1, 0, 99, 100, 200, 398, 399, 400, 404, 499, 500, 599, 600]);
        let value = match self.below(10) {
            0..5 => Value::from(known),
            5 | 6 => Value::Long(number),
            7 => Value::Bool(true),
            _ => self.value(),
        };
        (key.to_owned(), value)
    }

    /// Few as a rule, sometimes none, sometimes more than are compared one by one.
    fn tags(&mut self, usual: usize) -> Vec<Tag> {
        let count = match self.below(24) {
            0 => 100,
            1..5 => 0,
            _ => self.below(usual),
        };
        (0..count).map(|_| if self.one_in(3) { self.special_tag() } else { self.tag() }).collect()
    }

    pub(crate) fn process_tags(&mut self) -> Vec<Tag> {
        let mut tags = self.tags(6);
        for _ in 0..self.below(5) {
            let key = self.0.pick([
                "hostname",
                "host.name",
                "jaeger.version",
                "opencensus.exporterversion",
                "service.name",
                "telemetry.sdk.name",
                "ip",
            ]);
            tags.push((key.to_owned(), self.value()));
        }
        tags
    }

    /// One whose own ids are not zero.
    pub(crate) fn span(&mut self) -> Span {
        let (mut trace, mut id) = ((self.id(), self.id()), self.id());
        if trace == (0, 0) || id == 0 {
            (trace, id) = ((0, 7), 8);
        }
        let parent = self.id();
        let references = match self.below(4) {
            0 => self.below(18),
            1 => 1,
            _ => 0,
        };
        let references = (0..references).map(|_| {
            let same_trace = self.one_in(2);
            let other = (self.id(), self.id());
            let (any, is_parent) = (self.id(), self.one_in(2));
            let of = if same_trace { trace } else { other };
            (self.one_in(2), of, if is_parent { parent } else { any })
        });
        let references = references.collect();
        let logs = match self.below(3) {
            0 => self.below(20),
            _ => 0,
        };
        let logs = (0..logs).map(|_| Log { micros: self.micros(), fields: self.tags(5) }).collect();
        Span {
            trace,
            id,
            parent,
            name: self.text(),
            flags: self.0.next().to_le_bytes()[0].into(),
            start: self.micros(),
            duration: self.long(),
            references,
            tags: self.tags(16),
            logs,
        }
    }
}
