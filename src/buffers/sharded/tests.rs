//! Tests of the queue and of the close.

use crossbeam_channel::{Receiver, bounded};

use super::*;
use crate::encoding::SpanView;

/// A buffer that takes so much memory, all of it used.
fn buffer(bytes: usize, spans: usize) -> Buffer {
    let bytes = bytes - size_of::<Buffer>();
    Buffer { end: bytes - TRAILER_MAX, bytes: vec![0; bytes], spans }
}

fn queue(bytes: usize, spans: usize) -> (Queue, Receiver<()>) {
    let (wake, woken) = bounded(1);
    (Queue::new(QueueLimits { spans, bytes }, wake), woken)
}

fn used(queue: &Queue) -> (u64, u64) {
    let QueueStats { spans, bytes, .. } = queue.stats();
    (spans, bytes)
}

#[test]
fn the_memory_of_all_buffers_stays_within_the_bytes() {
    let (mut queue, _woken) = queue(10_000, usize::MAX);
    assert!(queue.push(buffer(4_000, 1)).is_ok());
    assert!(queue.push(buffer(6_000, 1)).is_ok());
    assert_eq!(queue.push(buffer(500, 7)).unwrap_err().spans, 7, "it is given back");
    assert_eq!(used(&queue), (2, 10_000));
    assert_eq!(queue.pop().unwrap(), buffer(4_000, 1), "the oldest comes first");
    assert!(queue.push(buffer(4_001, 1)).is_err());
    assert!(queue.push(buffer(4_000, 1)).is_ok());
    assert_eq!((queue.len(), used(&queue)), (2, (2, 10_000)));
    while queue.pop().is_some() {}
    assert_eq!(used(&queue), (0, 0));
}

#[test]
fn there_are_never_more_spans_than_the_bound_and_never_fewer_when_one_is_refused() {
    let (mut queue, _woken) = queue(usize::MAX, 10);
    assert!(queue.push(buffer(500, 4)).is_ok());
    assert!(queue.push(buffer(500, 6)).is_ok());
    assert!(queue.push(buffer(500, 1)).is_err());
    queue.pop();
    assert!(queue.push(buffer(500, 5)).is_err(), "one more than the bound");
    assert!(queue.push(buffer(500, 4)).is_ok());
    assert_eq!(used(&queue), (10, 1_000));
}

#[test]
fn a_buffer_larger_than_all_of_it_waits_alone() {
    let (mut queue, _woken) = queue(1_000, 1);
    assert!(queue.push(buffer(5_000, 500)).is_ok());
    assert!(queue.push(buffer(500, 1)).is_err());
    queue.pop();
    assert!(queue.push(buffer(500, 1)).is_ok());
}

/// Spans that are larger than half a buffer, and a small one before each of them.
#[test]
fn memory_that_no_span_uses_is_not_in_a_queue_that_fills() {
    let (mut queue, _woken) = queue(1 << 20, usize::MAX);
    let mut count = 0;
    loop {
        let end = if count % 2 == 0 { 200 } else { 33_000 };
        match queue.push(Buffer { end, bytes: vec![7; 65_000], spans: 1 }) {
            Ok(unused) if queue.used.bytes > 1 << 19 => {
                assert_eq!(unused.map(|bytes| bytes.len()), Some(65_000), "{count}");
            }
            Ok(_) => {}
            Err(refused) => break assert_eq!(refused.end, end, "nothing was moved"),
        }
        count += 1;
    }
    let (mut bytes, mut spans) = (0, 0);
    while let Some(buffer) = queue.pop() {
        assert!(buffer.bytes[..buffer.end].iter().all(|byte| *byte == 7));
        assert!(buffer.bytes.len() >= buffer.end + TRAILER_MAX);
        bytes += buffer.end;
        spans += 1;
    }
    assert_eq!(spans, count);
    assert!(bytes > (1 << 20) / 4 * 3, "{bytes} bytes in {spans} buffers");
}

#[test]
fn the_reporters_thread_is_woken_and_without_it_nothing_is_taken() {
    let (mut queue, woken) = queue(10_000, 1_000);
    assert!(queue.push(buffer(500, 1)).is_ok() && queue.push(buffer(500, 1)).is_ok());
    assert!(woken.try_recv().is_ok());
    drop(woken);
    assert!(queue.push(buffer(500, 1)).is_err());
}

#[test]
fn closed_buffers_keep_no_memory() {
    let ((wake, _woken), (keep, spare)) = (bounded(1), bounded(4));
    let origin = ProcessOrigin::here().unwrap();
    let limits = QueueLimits { spans: 100, bytes: 1 << 20 };
    let sizes = (65_000, 100, 65_000);
    let buffers = ShardedBuffers::new(2, sizes, limits, (wake, spare), &origin);
    (0..3).for_each(|_| keep.try_send(vec![0; 65_000]).unwrap());
    let mut spans = 0;
    for close in [false, true] {
        assert_eq!(buffers.accept_view(&SpanView::default()), Accepted::Yes);
        buffers.take_partial(close, |buffer| spans += buffer.spans);
    }
    let capacity = |locked: &LockedShard| locked.shard.try_lock().unwrap().buffer.bytes.capacity();
    assert_eq!((spans, buffers.shards.iter().map(capacity).sum::<usize>()), (2, 0));
    assert!(keep.try_send(Vec::new()).is_err(), "memory is still collected");
    assert_eq!(buffers.accept_view(&SpanView::default()), Accepted::Closed);
}
