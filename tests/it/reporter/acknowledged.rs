//! A receiver's response to an accepted message: the acknowledgement, and rejected spans.

use std::sync::Arc;

use crate::support::{SOON, builder, memory_logger};
use jaeger_client::transport::{Sent, Transport};
use jaeger_client::{AgentProtocol, Destination, TransportError};

/// Answers each message like this.
#[derive(Debug)]
struct Responding(Sent);

impl Transport for Responding {
    fn send(&mut self, _message: &[u8]) -> Result<Sent, TransportError> {
        Ok(self.0.clone())
    }
}

#[test]
fn spans_that_a_receiver_rejects_are_lost_by_that_cause_and_the_others_are_acknowledged() {
    let rejected = |spans| Sent::ACKNOWLEDGED.with_rejected(spans, "a clock of 1970");
    for (response, sent, acknowledged, lost) in [
        (Sent::OK, 5, 0, 0),
        (Sent::ACKNOWLEDGED, 5, 5, 0),
        (rejected(0), 5, 5, 0),
        (rejected(2), 3, 3, 2),
        (rejected(5), 0, 0, 5),
        (rejected(u64::MAX), 0, 0, 5),
    ] {
        let logger = memory_logger();
        let destination =
            Destination::transport(Responding(response.clone()), AgentProtocol::Compact);
        let (tracer, closer) = builder()
            .shards(1)
            .logger(Arc::clone(&logger))
            .destination(destination)
            .build()
            .unwrap();
        (0..5).for_each(|_| tracer.start_span("op").finish());
        let report = closer.close(SOON);
        let stats = report.stats;
        assert!(report.complete && stats.is_balanced(), "{report}");
        assert_eq!((stats.sent, stats.acknowledged), (sent, acknowledged), "{response:?}: {stats}");
        assert_eq!((stats.dropped.rejected, stats.dropped.total()), (lost, lost), "{response:?}");
        let own = &tracer.destination_stats()[0];
        assert_eq!((own.sent, own.acknowledged, own.dropped.rejected), (sent, acknowledged, lost));
        assert_eq!(own.taken, own.sent + own.queued + own.dropped.total());
        assert_eq!(logger.has("a clock of 1970"), response.message.is_some(), "{:?}", logger.all());
        let shown = report.to_string();
        assert_eq!(shown.contains("rejected"), lost > 0, "{shown}");
        assert_eq!(shown.contains("acknowledged"), acknowledged > 0, "{shown}");
    }
}
