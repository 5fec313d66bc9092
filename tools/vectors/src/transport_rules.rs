//! How jaeger-client-go packs spans into datagrams, from the sizes alone.
//!
//! One thing is different here: a span that does not fit beside the process is trimmed when it is
//! handed over. Where no span is such, the rules give what was recorded.

use jaeger_client::encoding::ClientStats;

use crate::transport::{Datagram, Script, Step, marked_span_size};

/// The datagrams, and how many of them have left after each step.
pub(crate) fn packed(script: &Script) -> (Vec<Datagram>, Vec<usize>) {
    let room = script.max_packet.saturating_sub(script.reserve);
    let (mut datagrams, mut left) = (Vec::new(), Vec::new());
    let mut buffer = Vec::<(usize, usize)>::new();
    let mut stats = ClientStats::default();
    let flush = |datagrams: &mut Vec<Datagram>, buffer: &mut Vec<(usize, usize)>, stats| {
        let stats: ClientStats = stats;
        if buffer.is_empty() {
            return;
        }
        let seq_no = datagrams.len() + 1;
        let spans: usize = buffer.iter().map(|(_, size)| size).sum();
        let list = if buffer.len() < 15 { 2 } else { 2 + varint(buffer.len()) };
        // Envelope, process, list of spans, sequence number, losses, three stops.
        let head = 2 + varint(seq_no) + 10 + 2;
        let zigzag = |count: i64| varint(usize::try_from(count * 2).unwrap_or(usize::MAX));
        let tail = 1
            + varint(seq_no * 2)
            + 1
            + 3
            + zigzag(stats.full_queue_dropped_spans)
            + zigzag(stats.too_large_dropped_spans)
            + zigzag(stats.failed_to_emit_spans)
            + 3;
        datagrams.push(Datagram {
            seq_no: i64::try_from(seq_no).unwrap_or(i64::MAX),
            seq_id: u32::try_from(seq_no).unwrap_or(u32::MAX),
            length: head + script.process + list + spans + tail,
            operations: buffer.drain(..).map(|(operation, _)| operation).collect(),
            stats,
        });
    };
    for step in &script.steps {
        match step {
            Step::Flush => flush(&mut datagrams, &mut buffer, stats),
            Step::QueueDrops(value) => stats.full_queue_dropped_spans = *value,
            Step::Append { operation, size } => {
                let room_for_spans = room.saturating_sub(script.process);
                let fitting = if *size <= room_for_spans {
                    Some((*operation, *size))
                } else {
                    trimmed(*operation, room_for_spans)
                };
                let Some((operation, size)) = fitting else {
                    stats.too_large_dropped_spans += 1;
                    left.push(datagrams.len());
                    continue;
                };
                let used = script.process + buffer.iter().map(|(_, size)| size).sum::<usize>();
                if used + size > room {
                    flush(&mut datagrams, &mut buffer, stats);
                }
                buffer.push((operation, size));
                if used + size == room || script.process + size == room {
                    flush(&mut datagrams, &mut buffer, stats);
                }
            }
        }
        left.push(datagrams.len());
    }
    (datagrams, left)
}

/// The length of the name, and the size, of a span that is trimmed to `room`; none if that is too
/// small for any. It has nothing that could be cut but its name, whose length is `operation`.
fn trimmed(operation: usize, room: usize) -> Option<(usize, usize)> {
    let cut = |limit: usize, length: usize| {
        let mark = format!("0 values cut to {limit} bytes, 0 oldest logs dropped");
        let name_cut = if length < operation { ", name cut" } else { "" };
        (length, marked_span_size(length, &format!("{mark}{name_cut}")))
    };
    let limits = [16_384, 4_096, 1_024, 256, 64];
    let whole = limits.map(|limit| cut(limit, operation.min(limit)));
    if let Some(fitting) = whole.into_iter().find(|(_, size)| *size <= room) {
        return Some(fitting);
    }
    // Headers of three lists may grow by so much.
    let [.., (length, size)] = whole;
    let too_much = (size + 3 * 8).saturating_sub(room);
    Some(cut(64, length.saturating_sub(too_much))).filter(|(_, size)| *size <= room)
}

/// How many bytes a number takes at seven bits each.
fn varint(value: usize) -> usize {
    (usize::BITS - (value | 1).leading_zeros()).div_ceil(7) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_numbers_are_those_of_seven_bits_a_byte() {
        for (value, bytes) in [(0, 1), (127, 1), (128, 2), (16_383, 2), (16_384, 3)] {
            assert_eq!(varint(value), bytes, "{value}");
        }
    }

    #[test]
    fn a_span_too_large_beside_the_process_is_trimmed_and_leaves_the_others_alone() {
        let append = |size| Step::Append { operation: size - 47, size };
        let steps = vec![append(57), append(1_047), append(57), Step::Flush];
        let script = Script { max_packet: 332, process: 115, reserve: 70, steps };
        let (datagrams, left) = packed(&script);
        assert_eq!(left, [0, 1, 2, 3]);
        let operations: Vec<_> = datagrams.iter().map(|datagram| &datagram.operations).collect();
        assert!(operations[0] == &[10] && operations[2] == &[10], "{operations:?}");
        assert!(operations[1][0] < 64 && datagrams[1].length <= 332, "{:?}", datagrams[1]);
        assert_eq!(datagrams[2].stats.too_large_dropped_spans, 0);
        assert_eq!(trimmed(1_000, 60), None, "the mark alone is larger");
    }
}
