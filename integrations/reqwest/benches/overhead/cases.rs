//! The clients that are compared.

use jaeger_client::{Closer, Tracer};
use jaeger_client_reqwest::{JaegerMiddleware, trace_connections};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware};
use tokio::runtime::{Builder, Runtime};

use crate::common::{self, Outcome};
use crate::server::RESPONSE;

/// A way to send a request.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// What a request may take more than one of the first case: instructions and allocations. What was
    /// measured when this was written, and for instructions room for a response that comes late and is
    /// waited for once more, some 2,000 of them. Who gains something lowers it.
    pub(crate) limit: (i64, i64),
    sampled: bool,
    client: fn(&Tracer) -> reqwest::Result<ClientWithMiddleware>,
}

/// The first one is what the others are compared with.
pub(crate) const CASES: &[Case] = &[
    Case {
        name: "reqwest, no middleware",
        limit: (0, 0),
        sampled: true,
        client: |_| Ok(ClientBuilder::new(reqwest::Client::builder().build()?).build()),
    },
    Case {
        name: "`JaegerMiddleware`, not sampled",
        limit: (20_100, 32),
        sampled: false,
        client: traced,
    },
    Case { name: "`JaegerMiddleware`", limit: (21_400, 33), sampled: true, client: traced },
];

fn traced(tracer: &Tracer) -> reqwest::Result<ClientWithMiddleware> {
    let client = trace_connections(reqwest::Client::builder()).build()?;
    Ok(ClientBuilder::new(client).with(JaegerMiddleware::new(tracer.clone())).build())
}

/// A client with its tracer, and what it asks for.
pub(crate) struct Subject {
    // In this order they end.
    client: ClientWithMiddleware,
    runtime: Runtime,
    tracer: Tracer,
    _closer: Closer,
    url: String,
}

impl Case {
    pub(crate) fn subject(&self, url: String) -> Outcome<Subject> {
        let (tracer, closer) = common::tracer("overhead", self.sampled)?;
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let client = (self.client)(&tracer)?;
        Ok(Subject { client, runtime, tracer, _closer: closer, url })
    }
}

impl Subject {
    /// Sends so many requests, one after the other, and reads the bodies of their responses.
    pub(crate) fn run(&self, requests: u64) -> Outcome {
        self.runtime.block_on(async {
            for _ in 0..requests {
                let body = self.client.get(&self.url).send().await?.bytes().await?;
                if body != RESPONSE {
                    return Err(format!("answered with {body:?}").into());
                }
            }
            Ok(())
        })
    }

    /// Has what was reported taken away.
    pub(crate) fn flush(&self) -> Outcome {
        common::flush(&self.tracer)
    }
}
