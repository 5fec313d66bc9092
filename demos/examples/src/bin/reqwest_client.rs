//! A reqwest client: a span for each request, a child of the active one, whose context goes with it.
//!
//! `cargo run -p examples --bin reqwest_client -- http://localhost:8080/ http://localhost:1/`. The client and
//! its pool, proxies and TLS stay reqwest's; `trace_connections` tells what it shows of look-ups and dials.

#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a program to look at")]

use std::time::Duration;

use jaeger_client::{Configuration, Span, TraceFutureExt};
use jaeger_client_reqwest::reqwest_middleware::{ClientBuilder, ClientWithMiddleware};
use jaeger_client_reqwest::{JaegerMiddleware, reqwest, trace_connections};

async fn fetch(client: &ClientWithMiddleware, url: &str) {
    match client.get(url).send().await {
        // The request's span ends with the body.
        Ok(response) => {
            let status = response.status();
            let bytes = response.bytes().await.map_or(0, |body| body.len());
            println!("{url}: {status}, {bytes} bytes");
        }
        // Its span is marked already; the error belongs to what failed by it, too.
        Err(error) => {
            println!("{url}: failed");
            if let Some(span) = Span::active() {
                span.record_error(&error);
            }
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (tracer, closer) = Configuration::new("crawler").with_env()?.new_tracer()?;
    let client = trace_connections(reqwest::Client::builder()).build()?;
    let client = ClientBuilder::new(client).with(JaegerMiddleware::new(tracer.clone())).build();

    let span = tracer.start_span("crawl");
    let crawl = async {
        for url in std::env::args().skip(1) {
            fetch(&client, &url).await;
        }
    };
    crawl.in_span(span).await;
    println!("{}", closer.close_async(Duration::from_secs(2)).await);
    Ok(())
}
