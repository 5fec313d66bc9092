//! What the recipes in `examples/` have in common: two services, an agent, and the trace of both.

use std::error::Error;
use std::future::Future;
use std::time::Duration;

use jaeger_client::{Tracer, sampler::ConstSampler};
use jaeger_client_embedded_agent::{EmbeddedAgent, Trace, WaterfallOptions};

pub mod greeter;

/// Whatever a recipe may fail with.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// Runs `work` with the tracers of two services, and gives the one trace that an agent in this
/// process got of both, once it has `spans` spans.
///
/// # Errors
///
/// What `work` fails with; or if there are not as many spans after ten seconds.
pub fn traced<F>(
    [client, server]: [&str; 2],
    spans: usize,
    work: impl FnOnce(Tracer, Tracer) -> F,
) -> Result<Trace, BoxError>
where
    F: Future<Output = Result<(), BoxError>>,
{
    let agent = EmbeddedAgent::start()?;
    let build = |service: &str| {
        let agent = agent.compact_addr().to_string();
        Tracer::builder(service).sampler(ConstSampler::new(true)).agent(agent).build()
    };
    // A tracer for each, as if they were their own processes.
    let ((client, client_closer), (server, server_closer)) = (build(client)?, build(server)?);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(work(client, server))?;
    // What the servers still do is ended with their runtime, and their spans with it.
    runtime.shutdown_timeout(PATIENCE);
    for report in [client_closer.close(PATIENCE), server_closer.close(PATIENCE)] {
        if !report.complete {
            return Err(report.to_string().into());
        }
    }
    agent.wait_for_spans(spans, PATIENCE)?;
    let [trace] = <[Trace; 1]>::try_from(agent.traces())
        .map_err(|traces| format!("{} traces, of which there should be one", traces.len()))?;
    Ok(trace)
}

/// The trace with what each span was tagged with and logged.
#[must_use]
pub fn shown(trace: &Trace) -> String {
    trace.waterfall_with(WaterfallOptions::default().tags(true).logs(true))
}

const PATIENCE: Duration = Duration::from_secs(10);
