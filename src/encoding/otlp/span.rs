//! The OTLP form of spans, logs and references, for protobuf and JSON.

use std::ops::Range;

use super::attributes::{Attributes, is_text, recycle};
use crate::encoding::canonical::Visit;
use crate::encoding::read::{DecodeError, Reader};
use crate::encoding::view::{LogView, ReferenceView, SpanView, TagView, ValueView};
use crate::id::SpanId;

/// A span in OTLP's terms. Its attributes and events are in its [`Parts`].
#[derive(Debug)]
pub(super) struct OtlpSpan<'a> {
    pub(super) view: SpanView<'a>,
    /// The parent; none for a root.
    pub(super) parent: SpanId,
    /// The number of `SpanKind`.
    pub(super) kind: u8,
    pub(super) trace_state: &'a [u8],
    pub(super) status: Status<'a>,
    /// The scope; none for the library's own.
    pub(super) scope: Option<Scope<'a>>,
    /// The number of dropped tags, as far as the span records it.
    pub(super) dropped_attributes: u32,
    /// The number of dropped logs, likewise.
    pub(super) dropped_events: u32,
    /// The number of dropped references, likewise, including those to spans without ids.
    pub(super) dropped_links: u32,
}

/// The instrumentation scope of a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Scope<'a> {
    pub(super) name: &'a [u8],
    pub(super) version: &'a [u8],
}

impl Scope<'_> {
    /// The scope of a span that names none.
    pub(super) const OWN: Scope<'static> =
        Scope { name: super::NAME.as_bytes(), version: super::VERSION.as_bytes() };
}

/// The status of a span.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Status<'a> {
    /// The number of `StatusCode`.
    pub(super) code: u8,
    pub(super) message: &'a [u8],
}

const OK: u8 = 1;
const ERROR: u8 = 2;

/// The positions of tags that are more than attributes.
#[derive(Default)]
struct Special {
    kind: Option<usize>,
    error: Option<usize>,
    status_code: Option<usize>,
    status_description: Option<usize>,
    http_status: Option<usize>,
    http_response_status: Option<usize>,
    http_status_message: Option<usize>,
    trace_state: Option<usize>,
    scope_name: Option<usize>,
    scope_version: Option<usize>,
    trimmed: Option<usize>,
}

impl Special {
    #[inline]
    fn note(&mut self, key: &[u8], place: usize) {
        let of_key = match key {
            b"error" => &mut self.error,
            b"span.kind" => &mut self.kind,
            b"w3c.tracestate" => &mut self.trace_state,
            b"jaeger.trimmed" => &mut self.trimmed,
            b"otel.scope.name" => &mut self.scope_name,
            b"otel.status_code" => &mut self.status_code,
            b"http.status_code" => &mut self.http_status,
            b"otel.scope.version" => &mut self.scope_version,
            b"http.status_message" => &mut self.http_status_message,
            b"otel.status_description" => &mut self.status_description,
            b"http.response.status_code" => &mut self.http_response_status,
            _ => return,
        };
        *of_key = Some(place);
    }
}

/// A bit for the length of each key that [`Special::note`] knows.
const SPECIAL_LENGTHS: u32 =
    1 << 5 | 1 << 9 | 1 << 14 | 1 << 15 | 1 << 16 | 1 << 18 | 1 << 19 | 1 << 23 | 1 << 25;

/// The lists of a span: attributes, events and links. The memory is reused for the next one.
#[derive(Debug, Default)]
pub(super) struct Parts<'a> {
    tags: Attributes<'a>,
    fields: Attributes<'a>,
    events: Vec<Event<'a>>,
    links: Vec<ReferenceView>,
}

impl<'a> Parts<'a> {
    /// Reuses the memory for spans with another lifetime.
    pub(super) fn recycle<'b>(self) -> Parts<'b> {
        let Parts { tags, fields, events, links } = self;
        Parts { tags: tags.recycle(), fields: fields.recycle(), events: recycle(events), links }
    }

    /// Returns the attributes of the span.
    #[inline(always)]
    pub(super) fn attributes(&self) -> impl Iterator<Item = TagView<'a>> {
        self.tags.all()
    }

    /// Returns the events of the span.
    #[inline(always)]
    pub(super) fn events(&self) -> &[Event<'a>] {
        &self.events
    }

    /// Returns the links: the references to spans other than the parent.
    #[inline(always)]
    pub(super) fn links(&self) -> &[ReferenceView] {
        &self.links
    }

    /// Returns the attributes of an event.
    #[inline(always)]
    pub(super) fn attributes_of(&self, event: &Event<'a>) -> impl Iterator<Item = TagView<'a>> {
        self.fields.of(event.fields.clone())
    }
}

/// The visitor that collects a span's parts while it is read.
struct Take<'p, 'a> {
    parts: &'p mut Parts<'a>,
    special: Special,
    /// The position of the log's name, and how many logs it stands for.
    name: Option<usize>,
    dropped: Option<usize>,
}

impl<'a> Visit<'a> for Take<'_, 'a> {
    #[inline(always)]
    fn begin(&mut self) {
        self.begin_references();
        self.begin_tags();
        self.begin_logs();
    }

    #[inline(always)]
    fn begin_references(&mut self) {
        self.parts.links.clear();
    }

    #[inline(always)]
    fn reference(&mut self, reference: ReferenceView) {
        self.parts.links.push(reference);
    }

    #[inline(always)]
    fn begin_tags(&mut self) {
        self.parts.tags.clear();
        self.special = Special::default();
    }

    #[inline(always)]
    fn tag(&mut self, tag: TagView<'a>) {
        let place = self.parts.tags.push(tag);
        let len = tag.key.len();
        if len < 32 && SPECIAL_LENGTHS >> len & 1 != 0 {
            self.special.note(tag.key, place);
        }
    }

    #[inline(always)]
    fn begin_logs(&mut self) {
        self.parts.fields.clear();
        self.parts.events.clear();
    }

    #[inline(always)]
    fn begin_fields(&mut self) {
        self.parts.fields.restart();
        (self.name, self.dropped) = (None, None);
    }

    #[inline(always)]
    fn field(&mut self, field: TagView<'a>) {
        let place = self.parts.fields.push(field);
        match field.key {
            b"event" => self.name = Some(place),
            b"dropped_log_count" => self.dropped = Some(place),
            _ => {}
        }
    }

    #[inline(always)]
    fn log(&mut self, log: LogView<'a>) {
        let fields = &mut self.parts.fields;
        // Done first, as it compares the keys of fields that are still there.
        let list = fields.end();
        let name = take_text(self.name, fields).unwrap_or_default();
        let dropped = match self.dropped.and_then(|place| fields.get(place)) {
            Some(ValueView::Long(count)) if name == b"dropped Span logs" => count,
            _ => 0,
        };
        self.parts.events.push(Event {
            time_nanos: nanos(log.timestamp_micros),
            name,
            dropped: u32::try_from(dropped).unwrap_or_default(),
            expected_len: 9 + log.fields.bytes.len(),
            fields: list,
        });
    }
}

impl<'a> OtlpSpan<'a> {
    /// Reads the next span and collects its parts.
    #[inline(always)]
    pub(super) fn read(
        reader: &mut Reader<'a>,
        parts: &mut Parts<'a>,
    ) -> Result<Self, DecodeError> {
        let mut take = Take { parts, special: Special::default(), name: None, dropped: None };
        let view = reader.span_with(&mut take)?;
        let Take { parts: Parts { tags, events, links, .. }, special, .. } = take;
        tags.end();
        let parent = parent(&view, links);
        let kind = special.kind.and_then(|place| {
            let kind = kind(tags.get(place)?)?;
            tags.leave_out(place);
            Some(kind)
        });
        let kind = kind.unwrap_or_default();
        let trimmed = special.trimmed.and_then(|place| tags.get(place));
        let trimmed = trimmed.map(Trimmed::of).unwrap_or_default();
        let links_without_ids = if links.is_empty() { 0 } else { keep_links(&view, parent, links) };
        Ok(Self {
            view,
            parent,
            dropped_attributes: trimmed.tags,
            dropped_links: trimmed.references.saturating_add(links_without_ids),
            kind,
            status: special.status(kind, tags),
            trace_state: take_text(special.trace_state, tags).unwrap_or_default(),
            scope: special.scope(tags),
            dropped_events: events
                .iter()
                .fold(trimmed.logs, |sum, event| sum.saturating_add(event.dropped)),
        })
    }

    /// Returns whether a server accepts the span: OTLP has no zero ids.
    #[inline]
    pub(super) fn has_ids(&self) -> bool {
        self.view.trace_id.is_valid() && self.view.span_id != SpanId::NONE
    }

    /// Returns the start in nanoseconds since the Unix epoch, a multiple of 1000.
    pub(super) fn start_nanos(&self) -> u64 {
        nanos(self.view.start_time_micros)
    }

    /// Returns the end in nanoseconds since the Unix epoch, which is not before the start.
    pub(super) fn end_nanos(&self) -> u64 {
        self.start_nanos().saturating_add(nanos(self.view.duration_micros)).min(LATEST_END)
    }

    /// Returns the bits of W3C's trace flags that Jaeger's flags define: whether the span is
    /// sampled. Whether the parent is remote is not known.
    pub(super) fn flags(&self) -> u32 {
        const SAMPLED: i32 = 1;
        u32::from(self.view.flags & SAMPLED != 0)
    }
}

fn is_valid(reference: &ReferenceView) -> bool {
    reference.trace_id.is_valid() && reference.span_id != SpanId::NONE
}

/// Returns the parent that the span names, or the first reference to a span of its trace;
/// `CHILD_OF` comes before `FOLLOWS_FROM`.
fn parent(view: &SpanView<'_>, references: &[ReferenceView]) -> SpanId {
    if view.parent_span_id != SpanId::NONE {
        return view.parent_span_id;
    }
    let within = |reference: &&ReferenceView| {
        reference.trace_id == view.trace_id && reference.span_id != SpanId::NONE
    };
    let mut within = references.iter().filter(within);
    let first = within.clone().next();
    let parent = within.find(|reference| !reference.follows_from).or(first);
    parent.map_or(SpanId::NONE, |reference| reference.span_id)
}

/// Removes the references that are not links: to the parent, and to spans without ids. Returns how
/// many have no ids.
fn keep_links(view: &SpanView<'_>, parent: SpanId, references: &mut Vec<ReferenceView>) -> u32 {
    let is_parent = |reference: &ReferenceView| {
        (reference.trace_id, reference.span_id) == (view.trace_id, parent)
    };
    references.retain(|reference| reference.follows_from || !is_parent(reference));
    let all = references.len();
    references.retain(is_valid);
    u32::try_from(all - references.len()).unwrap_or(u32::MAX)
}

fn kind(value: ValueView<'_>) -> Option<u8> {
    match value {
        ValueView::Str(b"internal") => Some(1),
        ValueView::Str(b"server") => Some(SERVER),
        ValueView::Str(b"client") => Some(CLIENT),
        ValueView::Str(b"producer") => Some(4),
        ValueView::Str(b"consumer") => Some(5),
        _ => None,
    }
}

const SERVER: u8 = 2;
const CLIENT: u8 = 3;

/// Returns the text of a tag, which is then not an attribute. An empty or invalid text remains one.
#[inline]
fn take_text<'a>(place: Option<usize>, tags: &mut Attributes<'a>) -> Option<&'a [u8]> {
    let place = place?;
    let Some(ValueView::Str(text)) = tags.get(place) else { return None };
    if text.is_empty() || !is_text(text) {
        return None;
    }
    tags.leave_out(place);
    Some(text)
}

impl Special {
    /// Follows the rules of servers that translate Thrift, except that the text `true` is an error,
    /// too.
    #[inline]
    fn status<'a>(&self, kind: u8, tags: &mut Attributes<'a>) -> Status<'a> {
        let mut status = Status::default();
        let is_true = |value| matches!(value, ValueView::Bool(true) | ValueView::Str(b"true"));
        let error = self.error.filter(|place| tags.get(*place).is_some_and(is_true));
        if let Some(place) = error {
            tags.leave_out(place);
            status.code = ERROR;
            status.message = take_text(self.status_description, tags)
                .unwrap_or_else(|| text_of(self.http_status_message, tags));
        }
        if let Some(place) = self.status_code {
            let code = tags.get(place).and_then(status_code);
            if code.is_some() {
                tags.leave_out(place);
            }
            if error.is_none() {
                status.code = code.unwrap_or_default();
                status.message = take_text(self.status_description, tags).unwrap_or_default();
            }
        } else if error.is_none()
            && let Some(place) = self.http_status.or(self.http_response_status)
            && tags.get(place).is_some_and(|value| is_http_error(value, kind))
        {
            status.code = ERROR;
            status.message = text_of(self.http_status_message, tags);
        }
        status
    }

    #[inline]
    fn scope<'a>(&self, tags: &mut Attributes<'a>) -> Option<Scope<'a>> {
        let name = take_text(self.scope_name, tags)?;
        let version = take_text(self.scope_version, tags).unwrap_or_default();
        Some(Scope { name, version })
    }
}

fn text_of<'a>(place: Option<usize>, tags: &Attributes<'a>) -> &'a [u8] {
    match place.and_then(|place| tags.get(place)) {
        Some(ValueView::Str(text)) => text,
        _ => b"",
    }
}

/// Returns the number of a named status, or `None` for an unknown name.
fn status_code(value: ValueView<'_>) -> Option<u8> {
    let ValueView::Str(word) = value else { return None };
    let is = |name: &[u8]| word.eq_ignore_ascii_case(name);
    match () {
        () if is(b"OK") => Some(OK),
        () if is(b"ERROR") => Some(ERROR),
        () if is(b"UNSET") => Some(0),
        () => None,
    }
}

/// Returns whether an HTTP status is an error of the span: 4xx is not an error of the server that
/// sends it.
fn is_http_error(value: ValueView<'_>, kind: u8) -> bool {
    let code = match value {
        ValueView::Long(code) => Some(code),
        ValueView::Str(text) => str::from_utf8(text).ok().and_then(|text| text.parse().ok()),
        _ => None,
    };
    match code {
        // 399 is an error in the servers' translation, intended or not.
        None | Some(100..=398) => false,
        Some(400..=499) => kind != SERVER,
        Some(_) => true,
    }
}

/// How many elements of a trimmed span were left out, by its tag about that.
#[derive(Clone, Copy, Default)]
struct Trimmed {
    logs: u32,
    tags: u32,
    references: u32,
}

impl Trimmed {
    #[cold]
    fn of(value: ValueView<'_>) -> Self {
        let mut trimmed = Self::default();
        let ValueView::Str(text) = value else { return trimmed };
        for part in str::from_utf8(text).unwrap_or_default().split(", ") {
            let Some((count, what)) = part.split_once(' ') else { continue };
            let of = match what {
                "oldest logs dropped" => &mut trimmed.logs,
                "tags dropped" => &mut trimmed.tags,
                "references dropped" => &mut trimmed.references,
                _ => continue,
            };
            *of = count.parse().unwrap_or_default();
        }
        trimmed
    }
}

/// The latest end that is written, in the year 2262. OTLP has one bit more, but servers store times
/// in 63 bits: a later one would be a time before 1970 there.
const LATEST_END: u64 = i64::MAX.cast_unsigned();

/// The latest time of anything else: two microseconds earlier, as for the tracer's clock, so that a
/// span that begins then can end later. Jaeger adds a nanosecond to a start without a later end.
const LATEST: u64 = LATEST_END - 2_000;

/// Returns a time in nanoseconds, which is not before 1970 and not after 2262.
fn nanos(micros: i64) -> u64 {
    u64::try_from(micros).unwrap_or_default().saturating_mul(1_000).min(LATEST)
}

/// A log in OTLP's terms. Its attributes are in its span's [`Parts`].
#[derive(Debug)]
pub(super) struct Event<'a> {
    pub(super) time_nanos: u64,
    /// The name of the event; empty if no field `event` has one.
    pub(super) name: &'a [u8],
    /// The approximate length.
    pub(super) expected_len: usize,
    /// The number of dropped logs that this one stands for.
    dropped: u32,
    fields: Range<usize>,
}
