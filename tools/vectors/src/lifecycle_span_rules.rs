//! What is done to the spans of a script, as [`World`] follows it, and what becomes of them.

use crate::carrier::Ids;
use crate::deviations;
use crate::lifecycle_rules::{DEBUG, MAX_BAGGAGE, SAMPLED, State, World};
use crate::lifecycle_samplers::Question;
use crate::lifecycle_script::Field;
use crate::lifecycle_spans::{Held, Reported, Tag};
use crate::zipkin_rules::{Given, whole_characters};

impl World<'_> {
    pub(crate) fn set_tag(&mut self, span: usize, tag: &Field) {
        if tag.key == "sampling.priority" && !self.set_priority(span, &tag.given) {
            return;
        }
        self.ask(span, Question::Tag(&tag.key, &tag.given));
        let state = self.state_of(span);
        if !state.is_final || state.flags & SAMPLED != 0 {
            self.spans[span].tags.push((tag.key.clone().into_bytes(), tag.given.clone()));
        }
    }

    /// Whether the value means something.
    fn set_priority(&mut self, span: usize, value: &Given) -> bool {
        let force = match value {
            Given::Whole(number, kind) if kind == "uint16" => *number > 0,
            Given::Whole(number, _) if self.ours() => {
                self.reasons.insert(deviations::ANY_PRIORITY);
                *number > 0
            }
            Given::Float(number) if self.ours() && !number.is_nan() => {
                self.reasons.insert(deviations::ANY_PRIORITY);
                *number > 0.0
            }
            Given::Double(number) if self.ours() && !number.is_nan() => {
                self.reasons.insert(deviations::ANY_PRIORITY);
                *number > 0.0
            }
            _ => return false,
        };
        let mut add = 0;
        if force {
            add = SAMPLED;
            if !self.options.no_debug_flag {
                let operation = self.spans[span].operation.clone();
                if !self.is_debug_allowed(&operation) {
                    return false;
                }
                add |= DEBUG;
            }
        }
        let clears_debug = self.ours() && !force && self.state_of(span).flags & DEBUG != 0;
        if clears_debug {
            self.reasons.insert(deviations::NO_DEBUG_WITHOUT_SAMPLING);
        }
        let state = self.state_of(span);
        state.is_final = true;
        state.flags |= add;
        if !force {
            state.flags &= !if clears_debug { SAMPLED | DEBUG } else { SAMPLED };
        }
        true
    }

    pub(crate) fn set_baggage(&mut self, span: usize, key: &str, value: &str) {
        let Some(max) = self.restricting.max_length(key) else {
            let mut shown = value.as_bytes().to_vec();
            if self.ours() && shown.len() > MAX_BAGGAGE {
                self.reasons.insert(deviations::DENIED_VALUE_CUT);
                shown.truncate(MAX_BAGGAGE);
                shown = whole_characters(shown);
            }
            self.log_baggage(span, key, shown, [false, false, true]);
            return self.count("baggage_updates", &[("result", "err")]);
        };
        let mut value = value.as_bytes().to_vec();
        let truncated = value.len() > max;
        if truncated {
            value.truncate(max);
            if self.ours() {
                let whole = whole_characters(value.clone());
                if whole != value {
                    self.reasons.insert(deviations::WHOLE_CHARACTERS);
                    value = whole;
                }
            }
            self.count("baggage_truncations", &[]);
        }
        let before = self.spans[span].context.baggage.get(key).is_some_and(|v| !v.is_empty());
        self.log_baggage(span, key, value.clone(), [before, truncated, false]);
        let context = &mut self.spans[span].context;
        if value.is_empty() {
            context.baggage.remove(key);
        } else {
            context.baggage.insert(key.to_owned(), value);
        }
        self.count("baggage_updates", &[("result", "ok")]);
    }

    fn log_baggage(&mut self, span: usize, key: &str, value: Vec<u8>, marks: [bool; 3]) {
        let mut fields =
            vec![text("event", b"baggage"), text("key", key.as_bytes()), text("value", &value)];
        for (name, set) in ["override", "truncated", "invalid"].into_iter().zip(marks) {
            if set {
                fields.push(text(name, b"true"));
            }
        }
        self.log(span, fields);
    }

    pub(crate) fn log(&mut self, span: usize, fields: Vec<Tag>) {
        let max = self.options.max_logs;
        let State { flags, is_final, .. } = *self.state_of(span);
        if flags & SAMPLED == 0 {
            if is_final || !self.ours() {
                return;
            }
            self.reasons.insert(deviations::EARLY_LOGS_KEPT);
        }
        let span = &mut self.spans[span];
        if max == 0 || span.logs.len() < max {
            span.logs.push(fields);
            return;
        }
        let first = (max - 1) / 2;
        span.logs[first + span.dropped % (max - first)] = fields;
        span.dropped += 1;
    }

    /// Whether the span came to the reporter.
    pub(crate) fn finish(&mut self, span: usize, logs: &[(i128, Vec<Field>)]) -> bool {
        self.ask(span, Question::Finished);
        let State { flags, is_final, .. } = *self.state_of(span);
        let sampled = flags & SAMPLED != 0;
        let finished = &mut self.spans[span];
        finished.finished = true;
        if sampled {
            if finished.dropped > 0 {
                let first = (finished.logs.len() - 1) / 2;
                let others = finished.logs.len() - first;
                finished.logs[first..].rotate_left(finished.dropped % others);
                let dropped = i64::try_from(finished.dropped + 1).unwrap_or(i64::MAX);
                finished.logs[first] = vec![
                    text("event", b"dropped Span logs"),
                    Tag(b"dropped_log_count".to_vec(), Held::Long(dropped)),
                    text("component", b"jaeger-client"),
                ];
                finished.dropped = 0;
            }
            let given = logs.iter().map(|(_, fields)| fields.iter().map(logged).collect());
            finished.logs.extend(given);
            // Go's reporter keeps the span itself, so that it shows what is done to it later.
            let now = self.ours().then(|| self.rendered(span));
            self.reports.push((span, now));
        }
        let shown = if sampled { "y" } else { "n" };
        self.count("finished_spans", &[("sampled", if is_final { shown } else { "delayed" })]);
        sampled
    }

    /// What the reporter has got.
    pub(crate) fn reported(&mut self) -> Vec<Reported> {
        let reports = std::mem::take(&mut self.reports);
        reports
            .into_iter()
            .map(|(span, then)| {
                let at_the_end = self.rendered(span);
                let Some(then) = then else { return at_the_end };
                if then != at_the_end {
                    self.reasons.insert(deviations::FINISHED_ONCE);
                }
                then
            })
            .collect()
    }

    fn rendered(&mut self, at: usize) -> Reported {
        let span = self.spans[at].clone();
        let flags = self.state(&span.context).flags;
        let max = self.options.max_tag_bytes();
        let mut tags = Vec::new();
        for (key, value) in span.tags {
            let held = match value {
                Given::Text(text) | Given::Other(text, _) => {
                    let cut = text[..text.len().min(max)].to_vec();
                    let whole = whole_characters(cut.clone());
                    if self.ours() && whole != cut {
                        self.reasons.insert(deviations::WHOLE_CHARACTERS);
                    }
                    Held::Text(if self.ours() { whole } else { cut })
                }
                Given::Bytes(bytes) => Held::Bytes(bytes[..bytes.len().min(max)].to_vec()),
                value => canonical(value),
            };
            tags.push(Tag(key, held));
        }
        Reported {
            ids: Ids { flags, ..span.context.ids },
            operation: span.operation.into_bytes(),
            references: span.references,
            tags,
            logs: span.logs,
        }
    }
}

/// A field of a log, which is never cut.
pub(crate) fn logged(field: &Field) -> Tag {
    let value = match &field.given {
        bytes @ Given::Bytes(_) => Held::Text(bytes.shown()),
        value => canonical(value.clone()),
    };
    Tag(field.key.clone().into_bytes(), value)
}

fn text(key: &str, value: &[u8]) -> Tag {
    Tag(key.as_bytes().to_vec(), Held::Text(value.to_vec()))
}

fn canonical(value: Given) -> Held {
    match value {
        Given::Text(text) | Given::Other(text, _) => Held::Text(text),
        Given::Bool(truth) => Held::Bool(truth),
        #[expect(clippy::cast_possible_truncation, reason = "64 bits, of whatever sign")]
        Given::Whole(whole, _) => Held::Long(whole as i64),
        Given::Float(float) => Held::Double(f64::from(float).to_bits()),
        Given::Double(double) => Held::Double(double.to_bits()),
        Given::Bytes(bytes) => Held::Bytes(bytes),
    }
}
