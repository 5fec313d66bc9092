//! OTLP as protobuf: a request that grows span by span, in one piece of memory.
//!
//! A message is preceded by its length, which is not known before it is written. The expected
//! number of bytes is reserved for the length; if that was wrong, the message is moved. So every
//! length has its shortest form, and messages are rarely moved. Default values are left out, so
//! that the bytes are those of a generated writer.

use super::attributes::{is_text, of_process, text, value};
use super::span::{Event, OtlpSpan, Parts, Scope, Status};
use crate::encoding::batch::ProcessView;
use crate::encoding::view::{ReferenceView, TagView, ValueView};
use crate::encoding::writer::{FixedWindow, SHORT, SliceWriter, Varint, varint_len};
use crate::id::{SpanId, TraceId};

/// An `ExportTraceServiceRequest` that is being written.
#[derive(Debug)]
pub(super) struct Request<'r, 'a> {
    room: &'r mut Vec<u8>,
    at: usize,
    resource_spans: Open,
    /// The open message with the spans of one scope, and that scope.
    scope_spans: Option<(Open, Option<Scope<'a>>)>,
    max_bytes: usize,
}

impl<'r, 'a> Request<'r, 'a> {
    /// Begins a request in `room`, whose length is the available memory. `resource` is the field of
    /// that name, `expected` the approximate length of the spans.
    pub(super) fn begin(
        room: &'r mut Vec<u8>,
        resource: &[u8],
        expected: usize,
        max_bytes: usize,
    ) -> Self {
        let least = resource.len() + 2 * SLACK;
        if room.len() < least {
            room.resize(least, 0);
        }
        let mut to = SliceWriter { room, at: 0 };
        let resource_spans = Open::begin(&mut to, 0x0a, resource.len() + expected);
        to.many(resource);
        let at = to.at;
        Self { room, at, resource_spans, scope_spans: None, max_bytes }
    }

    /// Adds a span, unless the request would become too large. Returns whether it was added.
    pub(super) fn push(&mut self, span: &OtlpSpan<'a>, parts: &Parts<'_>, expected: usize) -> bool {
        if self.scope_spans.is_some_and(|(_, scope)| scope != span.scope) {
            self.end_scope();
        }
        loop {
            let mut to = SliceWriter { room: self.room, at: self.at };
            let scope_spans = match self.scope_spans {
                Some((scope_spans, _)) => scope_spans,
                None => {
                    let scope_spans = Open::begin(&mut to, 0x12, expected);
                    write_scope(&mut to, span.scope.unwrap_or(Scope::OWN));
                    scope_spans
                }
            };
            write_span(&mut to, span, parts);
            let end = to.at;
            if self.len(end, scope_spans) > self.max_bytes {
                return false;
            }
            // The room did not suffice, so that all is written once more.
            if end + SLACK <= self.room.len() {
                self.at = end;
                self.scope_spans = Some((scope_spans, span.scope));
                return true;
            }
            let len = (end + SLACK).max(self.room.len().saturating_mul(2));
            self.room.resize(len, 0);
        }
    }

    /// Returns the total length, if the last byte is at `end`.
    fn len(&self, end: usize, scope_spans: Open) -> usize {
        let end = scope_spans.final_end(end);
        self.resource_spans.final_end(end)
    }

    fn end_scope(&mut self) {
        if let Some((scope_spans, _)) = self.scope_spans.take() {
            let mut to = SliceWriter { room: self.room, at: self.at };
            scope_spans.end(&mut to);
            self.at = to.at;
        }
    }

    /// Ends the request, and returns its length.
    pub(super) fn end(mut self) -> usize {
        self.end_scope();
        let mut to = SliceWriter { room: self.room, at: self.at };
        self.resource_spans.end(&mut to);
        to.at
    }
}

/// Spare room behind all: the longest number is written in one piece, and moving a message may need
/// a few bytes more than it takes in the end.
const SLACK: usize = 32;

/// An open message, whose length is not known yet.
#[derive(Clone, Copy, Debug)]
struct Open {
    start: usize,
    /// How many bytes are reserved for the length.
    width: usize,
}

impl Open {
    /// Begins a field with a message of approximately the expected length.
    #[inline]
    fn begin(to: &mut SliceWriter<'_>, field: u8, expected: usize) -> Self {
        to.byte(field);
        let width = varint_len(expected as u64);
        to.at += width;
        Self { start: to.at, width }
    }

    /// Returns the end of a message that now ends at `end`, once its length is in the shortest
    /// form.
    #[inline]
    fn final_end(self, end: usize) -> usize {
        end - self.width + varint_len((end - self.start) as u64)
    }

    /// Ends the message at the writer's position.
    #[inline]
    fn end(self, to: &mut SliceWriter<'_>) {
        let length = Varint::of_most((to.at - self.start) as u64);
        if length.len != self.width {
            self.shift(to, length.len);
        }
        let front = self.start - self.width;
        if let Some(slots) = to.room.get_mut(front..front + length.len) {
            // A message in memory has no length of more than eight bytes.
            let bytes = length.first.to_le_bytes();
            slots.iter_mut().zip(bytes).for_each(|(slot, byte)| *slot = byte);
        }
    }

    /// Moves the message to follow a length of another width.
    #[cold]
    fn shift(self, to: &mut SliceWriter<'_>, width: usize) {
        let start = self.start - self.width + width;
        let end = start + (to.at - self.start);
        if end.max(to.at) <= to.room.len() {
            to.room.copy_within(self.start..to.at, start);
        }
        to.at = end;
    }
}

/// Encodes the field `resource` of `ResourceSpans` for a process.
pub(super) fn resource(process: &ProcessView<'_>) -> Vec<u8> {
    let mut room = Vec::new();
    let mut len = process.service_name.len() + process.tags.map_or(0, |tags| tags.bytes.len());
    loop {
        len = 2 * len + 256;
        room.resize(len, 0);
        let mut to = SliceWriter { room: &mut room, at: 0 };
        let message = Open::begin(&mut to, 0x0a, len / 2);
        of_process(process, |tag| write_attribute(&mut to, 0x0a, tag));
        message.end(&mut to);
        let end = to.at;
        if end + SLACK <= len {
            room.truncate(end);
            room.shrink_to_fit();
            return room;
        }
    }
}

fn write_scope(to: &mut SliceWriter<'_>, scope: Scope<'_>) {
    let message = Open::begin(to, 0x0a, scope.name.len() + scope.version.len() + 4);
    write_text(to, 0x0a, scope.name);
    write_text(to, 0x12, scope.version);
    message.end(to);
}

/// Not inlined, so that it can use all registers.
#[inline(never)]
fn write_span(to: &mut SliceWriter<'_>, span: &OtlpSpan<'_>, parts: &Parts<'_>) {
    let view = &span.view;
    let message = Open::begin(to, 0x12, expected_len(span));
    write_ids(to, view.trace_id, view.span_id);
    write_text(to, 0x1a, span.trace_state);
    if span.parent != SpanId::NONE {
        to.array::<10>(joined([0x22, 8], span.parent.get().to_be_bytes()));
    }
    write_text(to, 0x2a, view.operation_name);
    if span.kind != 0 {
        to.array([0x30, span.kind]);
    }
    match (span.start_nanos(), span.end_nanos()) {
        (start @ 1.., end) => {
            let start: [u8; 9] = joined([0x39], start.to_le_bytes());
            let end: [u8; 9] = joined([0x41], end.to_le_bytes());
            to.array::<18>(joined(start, end));
        }
        (0, end) => write_time(to, 0x41, end),
    }
    parts.attributes().for_each(|tag| write_attribute(to, 0x4a, tag));
    write_count(to, 0x50, span.dropped_attributes);
    parts.events().iter().for_each(|event| write_event(to, event, parts));
    write_count(to, 0x60, span.dropped_events);
    parts.links().iter().for_each(|link| write_link(to, *link));
    write_count(to, 0x70, span.dropped_links);
    if span.status != Status::default() {
        let message = Open::begin(to, 0x7a, span.status.message.len() + 4);
        write_text(to, 0x12, span.status.message);
        write_count(to, 0x18, span.status.code.into());
        message.end(to);
    }
    let flags = span.flags();
    if flags != 0 {
        to.array::<6>(joined([0x85, 1], flags.to_le_bytes()));
    }
    message.end(to);
}

/// Writes two pieces as one, with one check of the available room.
#[inline(always)]
fn joined<const A: usize, const B: usize, const BOTH: usize>(
    first: [u8; A],
    second: [u8; B],
) -> [u8; BOTH] {
    let mut both = [0; BOTH];
    both[..A].copy_from_slice(&first);
    both[A..].copy_from_slice(&second);
    both
}

/// Returns the approximate length of a span: so that most lengths have the reserved width.
fn expected_len(span: &OtlpSpan<'_>) -> usize {
    let view = &span.view;
    let bytes = |list: Option<crate::encoding::List<'_>>| list.map_or(0, |list| list.bytes.len());
    70 + view.operation_name.len() + bytes(view.tags) + bytes(view.logs)
}

fn write_ids(to: &mut SliceWriter<'_>, trace_id: TraceId, span_id: SpanId) {
    let high: [u8; 10] = joined([0x0a, 16], trace_id.high().to_be_bytes());
    let trace: [u8; 18] = joined(high, trace_id.low().to_be_bytes());
    let span: [u8; 10] = joined([0x12, 8], span_id.get().to_be_bytes());
    to.array::<28>(joined(trace, span));
}

fn write_event<'a>(to: &mut SliceWriter<'_>, event: &Event<'a>, parts: &Parts<'a>) {
    let message = Open::begin(to, 0x5a, event.expected_len);
    write_time(to, 0x09, event.time_nanos);
    write_text(to, 0x12, event.name);
    parts.attributes_of(event).for_each(|field| write_attribute(to, 0x1a, field));
    message.end(to);
}

fn write_link(to: &mut SliceWriter<'_>, link: ReferenceView) {
    let message = Open::begin(to, 0x6a, 64);
    write_ids(to, link.trace_id, link.span_id);
    write_attribute(to, 0x22, super::reference_type(link));
    message.end(to);
}

/// Writes a `KeyValue`, whose size is known beforehand.
#[inline(always)]
fn write_attribute(to: &mut SliceWriter<'_>, field: u8, tag: TagView<'_>) {
    let is_short = (1..=SHORT).contains(&tag.key.len()) && is_text(tag.key);
    if !is_short || !write_short(to, field, tag) {
        write_any_attribute(to, field, tag);
    }
}

/// Writes an attribute with a short key and a value whose length takes one byte, with few checks of
/// the available room. Returns whether it did.
#[inline(always)]
fn write_short(to: &mut SliceWriter<'_>, field: u8, tag: TagView<'_>) -> bool {
    let Some(mut window) = FixedWindow::<256>::at(to.room, to.at) else { return false };
    // All of these are below 0x80, so that lengths take one byte.
    #[expect(clippy::cast_possible_truncation, reason = "at most 32")]
    let key_len = tag.key.len() as u8;
    let mut begin = |value_len: u8| {
        window.array([field, key_len + value_len + 4, 0x0a, key_len]);
        window.short_text(tag.key);
    };
    match tag.value {
        ValueView::Str(text) if text.len() <= 0x7f - 8 - SHORT && is_text(text) => {
            #[expect(clippy::cast_possible_truncation, reason = "below 0x80")]
            let len = text.len() as u8;
            begin(len + 2);
            window.array([0x12, len + 2, 0x0a, len]);
            if text.len() > SHORT {
                to.at += window.at;
                to.many(text);
                return true;
            }
            window.short_text(text);
        }
        ValueView::Bool(value) => {
            begin(2);
            window.array([0x12, 2, 0x10, u8::from(value)]);
        }
        ValueView::Long(number) => {
            let number = Varint::of_most(number.cast_unsigned());
            #[expect(clippy::cast_possible_truncation, reason = "at most 10")]
            let len = number.len as u8;
            begin(len + 1);
            window.array([0x12, len + 1, 0x18]);
            window.varint(number);
        }
        ValueView::Double(double) if double.is_finite() => {
            begin(9);
            window.array([0x12, 9, 0x21]);
            window.array(double.to_le_bytes());
        }
        _ => return false,
    }
    to.at += window.at;
    true
}

#[cold]
#[inline(never)]
fn write_any_attribute(to: &mut SliceWriter<'_>, field: u8, tag: TagView<'_>) {
    let (key, value) = (text(tag.key), value(tag.value));
    let key_len = match key.len() {
        0 => 0,
        len => 1 + varint_len(len as u64) + len,
    };
    let value_len = match value {
        ValueView::Str(bytes) | ValueView::Binary(bytes) => {
            1 + varint_len(bytes.len() as u64) + bytes.len()
        }
        ValueView::Double(_) => 9,
        ValueView::Bool(_) => 2,
        ValueView::Long(number) => 1 + varint_len(number.cast_unsigned()),
    };
    to.head(field, key_len + 1 + varint_len(value_len as u64) + value_len);
    if key_len > 0 {
        to.head(0x0a, key.len());
        to.bytes(&key);
    }
    to.head(0x12, value_len);
    match value {
        ValueView::Str(bytes) => {
            to.head(0x0a, bytes.len());
            to.bytes(bytes);
        }
        ValueView::Bool(value) => to.array([0x10, u8::from(value)]),
        ValueView::Long(number) => {
            to.byte(0x18);
            to.number(number.cast_unsigned());
        }
        ValueView::Double(double) => {
            to.byte(0x21);
            to.array(double.to_le_bytes());
        }
        ValueView::Binary(bytes) => {
            to.head(0x3a, bytes.len());
            to.bytes(bytes);
        }
    }
}

fn write_text(to: &mut SliceWriter<'_>, field: u8, bytes: &[u8]) {
    if !bytes.is_empty() {
        let bytes = text(bytes);
        to.head(field, bytes.len());
        to.bytes(&bytes);
    }
}

fn write_time(to: &mut SliceWriter<'_>, field: u8, nanos: u64) {
    if nanos > 0 {
        to.array::<9>(joined([field], nanos.to_le_bytes()));
    }
}

fn write_count(to: &mut SliceWriter<'_>, field: u8, count: u32) {
    if count > 0 {
        to.byte(field);
        to.number(count.into());
    }
}
