//! An agent on Jaeger's usual ports: shows each trace that comes, until Enter or the end of input.
//!
//! `cargo run -p jaeger-client-embedded-agent --example standalone`
#![allow(clippy::print_stdout, reason = "printing is what it is for")]

use std::collections::HashSet;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use jaeger_client_embedded_agent::{EmbeddedAgent, Store, WaterfallOptions};

fn main() -> io::Result<()> {
    let agent = EmbeddedAgent::builder().usual_ports().start()?;
    println!("compact {}, binary {}", agent.compact_addr(), agent.binary_addr());
    if let Some(addr) = agent.http_addr() {
        println!("web page http://{addr}/");
    }
    println!("Enter ends it.\n");

    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| print_traces(agent.store(), &ended));
        let read = io::stdin().read_line(&mut String::new());
        ended.store(true, Ordering::Relaxed);
        read
    })?;
    let stats = agent.stats();
    println!("{} spans in {} batches, {} malformed", stats.spans, stats.batches, stats.malformed);
    Ok(())
}

/// Prints each trace once: when its root has come, which clients report last, or when it has been
/// waited for long enough.
fn print_traces(store: &Store, ended: &AtomicBool) {
    let options = WaterfallOptions::default().tags(true).logs(true);
    let mut printed = HashSet::new();
    while !ended.load(Ordering::Relaxed) {
        store.wait_for(Duration::from_millis(500), |store| store.trace_count() > printed.len());
        let traces = store.traces();
        for trace in &traces {
            if !printed.insert(trace.trace_id()) {
                continue;
            }
            store.wait_for(Duration::from_secs(2), |store| {
                let trace = store.trace(trace.trace_id());
                ended.load(Ordering::Relaxed) || trace.is_none_or(|trace| trace.root().is_some())
            });
            if let Some(trace) = store.trace(trace.trace_id()) {
                println!("{}", trace.waterfall_with(options));
            }
        }
        // Evicted traces need not be remembered, and so this does not grow without bound.
        printed.retain(|id| store.trace(*id).is_some());
    }
}
