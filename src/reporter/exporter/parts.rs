//! Spans that do not go as one message: sent in parts, alone, trimmed, or by another transport.

use super::{Attempt, Batcher};
use crate::buffers::{self, Outcome};
use crate::clock;
use crate::diag::Cause;
use crate::encoding::{List, SpanView};
use crate::error::TransportError;
use crate::reporter::counts::Accounting;
use crate::transport::Sent;

impl Batcher {
    /// Sends spans in as many messages as necessary.
    pub(super) fn send_split(&mut self, accounting: Accounting<'_>, spans: &[u8], count: usize) {
        self.refusals.begin();
        self.send_parts(accounting, &mut vec![(spans, count)], None);
    }

    /// Sends groups of spans, the last one first. If there is an outcome, the last group was tried
    /// already.
    pub(super) fn send_parts(
        &mut self,
        accounting: Accounting<'_>,
        groups: &mut Vec<(&[u8], usize)>,
        mut outcome: Option<Attempt>,
    ) {
        while let Some((spans, count)) = groups.pop() {
            match outcome.take().or_else(|| self.send_group(accounting, spans, count)) {
                Some(Attempt::Settled(sent)) => {
                    self.record_outcome(accounting, List::new(count, spans), sent);
                }
                Some(Attempt::Refused(error, may_split)) if count == 1 || !may_split => {
                    self.count_refused(accounting, spans, count, &error);
                }
                Some(Attempt::TooLarge { may_go_on: false, .. }) => {
                    // If the receiver refuses everything, the rest of the list is not sent.
                    let left = groups.drain(..).map(|(_, count)| count).sum::<usize>();
                    accounting.record_outcome(left + count, Outcome::TooLarge);
                }
                Some(Attempt::TooLarge { is_lower: false, .. }) if count == 1 => {
                    accounting.count_too_large(spans, self.limit.bytes());
                }
                _ if count > 1 => {
                    let (first, second) = halves(spans, count);
                    groups.push((second, count - count / 2));
                    groups.push((first, count / 2));
                }
                _ => self.send_alone(accounting, spans),
            }
        }
    }

    /// Sends a group in one message; returns `None`, and sends nothing, if it does not fit one.
    fn send_group(
        &mut self,
        accounting: Accounting<'_>,
        spans: &[u8],
        count: usize,
    ) -> Option<Attempt> {
        let is_too_large = count > 1 && !self.format.is_canonical() && self.is_over(spans.len());
        if is_too_large {
            return None;
        }
        let message = self.message(accounting, List::new(count, spans))?;
        self.may_send(message.len(), count).then(|| self.send(accounting, &message))
    }

    /// Returns whether a message of so many bytes and spans is sent as it is.
    fn may_send(&mut self, bytes: usize, count: usize) -> bool {
        bytes <= self.limit.bytes() || (count == 1 && self.limit.allow_larger(bytes, clock::now))
    }

    /// Counts spans that were refused with their message.
    fn count_refused(
        &self,
        accounting: Accounting<'_>,
        spans: &[u8],
        count: usize,
        error: &TransportError,
    ) {
        match count {
            1 => accounting.count_refused(spans, error),
            _ => accounting.count_lost(count, error),
        }
    }

    /// Sends a span that does not fit a message: whole if there is a transport for large spans, and
    /// else trimmed.
    fn send_alone(&mut self, accounting: Accounting<'_>, span: &[u8]) {
        if let Some(other) = &mut self.oversize
            && let Some(sent) = other.send_whole(accounting, span)
        {
            accounting.record_accepted(1, &sent);
            return;
        }
        let Ok((view, _)) = SpanView::parse(span) else {
            return accounting.count_too_large(span, self.limit.bytes());
        };
        let mut room = self.room().min(span.len());
        while room > 0 {
            let Some(trimmed) = buffers::to_fit(&view, room) else { break };
            match self.message(accounting, List::new(1, &trimmed)) {
                Some(message) if message.len() <= self.limit.bytes() => {
                    match self.send(accounting, &message) {
                        Attempt::Settled(sent) => {
                            if sent.is_ok() {
                                accounting.count_trimmed();
                            }
                            return self.record_outcome(accounting, List::new(1, span), sent);
                        }
                        Attempt::Refused(error, _) => {
                            return self.count_refused(accounting, span, 1, &error);
                        }
                        Attempt::TooLarge { is_lower: true, may_go_on: true } => {
                            room = self.room().min(room);
                        }
                        Attempt::TooLarge { .. } => break,
                    }
                }
                _ => room = room * 3 / 4,
            }
        }
        accounting.count_too_large(span, self.limit.bytes());
    }

    /// Sends one span as it is; returns `None` if it was not accepted, which is logged, and counted
    /// by the caller.
    fn send_whole(&mut self, accounting: Accounting<'_>, span: &[u8]) -> Option<Sent> {
        let message = self.message(accounting, List::new(1, span))?;
        if message.len() > self.limit.bytes() {
            return None;
        }
        let error = match self.send(accounting, &message) {
            Attempt::Settled(Ok(sent)) => return Some(sent),
            Attempt::Settled(Err(error)) | Attempt::Refused(error, _) => error,
            Attempt::TooLarge { .. } => TransportError::TooLarge { bytes: message.len() },
        };
        if let TransportError::Unconfirmed { .. } = error {
            accounting.count_possible_duplicates(1);
        }
        accounting.account.diagnostics.error(Cause::TooLarge, || {
            let (view, _) = SpanView::parse(span).unwrap_or_default();
            format!("{} is trimmed, because: {error}", buffers::described(&view))
        });
        None
    }
}

/// Returns the first half of `count` spans, and the rest.
fn halves(spans: &[u8], count: usize) -> (&[u8], &[u8]) {
    let mut at = 0;
    for _ in 0..count / 2 {
        at += SpanView::parse(&spans[at..]).map_or(0, |(_, taken)| taken);
    }
    spans.split_at(at)
}
