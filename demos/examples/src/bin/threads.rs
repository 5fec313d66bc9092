//! Plain threads and rayon: work that is handed to other threads belongs to the span that it is done for.
//!
//! `cargo run -p examples --bin threads`. The active span is one of a thread, and other threads do not
//! inherit it. `wrap` carries it along for a closure that runs once; what runs many times clones the span
//! before, and makes it active in each run.

#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a program to look at")]

use std::thread;
use std::time::Duration;

use jaeger_client::{ConfigError, Configuration, Span, Tracer, wrap};
use rayon::prelude::*;

fn resize(tracer: &Tracer, image: usize) -> usize {
    let span = tracer.start_span("resize"); // a child of the active span
    span.set_tag("image", image);
    image * image
}

/// One closure for each thread.
fn on_threads(tracer: &Tracer) -> usize {
    thread::scope(|scope| {
        let workers = [1, 2].map(|image| scope.spawn(wrap(move || resize(tracer, image))));
        workers.into_iter().filter_map(|worker| worker.join().ok()).sum()
    })
}

/// One closure for many runs, on whichever thread of the pool. Made active outside of the pool, the span
/// would be active on the caller's thread alone.
fn in_pool(tracer: &Tracer) -> usize {
    let caller = Span::active();
    let resized = (3..6_usize).into_par_iter().map(|image| {
        let _active = caller.as_ref().map(Span::activate);
        resize(tracer, image)
    });
    resized.sum()
}

fn main() -> Result<(), ConfigError> {
    let (tracer, closer) = Configuration::new("gallery").with_env()?.new_tracer()?;
    let page = tracer.start_span("page");
    let active = page.activate();
    let bytes = on_threads(&tracer) + in_pool(&tracer);
    drop(active);
    page.set_tag("bytes", bytes).finish();
    println!("{bytes} bytes; {}", closer.close(Duration::from_secs(2)));
    Ok(())
}
