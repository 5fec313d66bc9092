//! The clients that are compared.

use bytes::Bytes;
use http::{Request, Uri};
use http_body_util::{BodyExt, Empty};
use hyper_util::client::legacy::Client as Bare;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use jaeger_client::{Closer, Tracer};
use jaeger_client_http::{HttpPool, NoTrace, TraceMode, TracedClient};
use tokio::runtime::{Builder, Runtime};

use crate::common::{self, Outcome};
use crate::server::RESPONSE;

/// A way to send a request.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// Instructions that a request may take more than one of the bare client: what was measured when
    /// this was written, and room for what differs from run to run. A response that comes a little
    /// later is waited for once more, which takes some 2,000 of them, and on a busy machine all runs
    /// of a case may be of that kind. Who gains something lowers it.
    pub(crate) ceiling: i64,
    sampled: bool,
    client: fn(&Tracer) -> Client,
}

/// The name of the case that the others are compared with. It is the first one.
pub(crate) const BARE: &str = "hyper-util, bare";

pub(crate) const CASES: &[Case] = &[
    Case {
        name: BARE,
        ceiling: 0,
        sampled: true,
        client: |_| Client::Bare(Box::new(Bare::builder(TokioExecutor::new()).build_http())),
    },
    Case {
        name: "`HttpPool`, no trace",
        ceiling: 2_900,
        sampled: true,
        client: |_| Client::Pool(HttpPool::new()),
    },
    Case {
        name: "`TracedClient`, not sampled",
        ceiling: 9_400,
        sampled: false,
        client: |tracer| traced(tracer, TraceMode::Events),
    },
    Case {
        name: "`TraceMode::Off`: two spans",
        ceiling: 10_200,
        sampled: true,
        client: |tracer| traced(tracer, TraceMode::Off),
    },
    Case {
        name: "`TraceMode::Events`: two spans, seven events",
        ceiling: 11_600,
        sampled: true,
        client: |tracer| traced(tracer, TraceMode::Events),
    },
    Case {
        name: "`TraceMode::Spans`: six spans",
        ceiling: 13_700,
        sampled: true,
        client: |tracer| traced(tracer, TraceMode::Spans),
    },
];

fn traced(tracer: &Tracer, mode: TraceMode) -> Client {
    Client::Traced(TracedClient::builder(tracer.clone()).client_trace(mode).build())
}

enum Client {
    Bare(Box<Bare<HttpConnector, Empty<Bytes>>>),
    Pool(HttpPool),
    Traced(TracedClient),
}

impl Client {
    /// Sends a request, and reads the body of its response.
    async fn fetch(&self, url: &Uri) -> Outcome<Bytes> {
        let mut request = Request::new(());
        *request.uri_mut() = url.clone();
        let body = match self {
            Self::Bare(bare) => {
                let response = bare.request(request.map(|()| Empty::new())).await?;
                response.into_body().collect().await?.to_bytes()
            }
            Self::Pool(pool) => {
                let trace = std::sync::Arc::new(NoTrace);
                pool.round_trip(request, trace).await?.into_body().read_to_end(99).await?
            }
            Self::Traced(client) => {
                client.request(request).send().await?.into_body().read_to_end(99).await?
            }
        };
        Ok(body)
    }
}

/// A client with its tracer, and what it asks for.
pub(crate) struct Subject {
    // In this order they end.
    client: Client,
    runtime: Runtime,
    tracer: Tracer,
    _closer: Closer,
    url: Uri,
}

impl Case {
    pub(crate) fn subject(&self, url: &Uri) -> Outcome<Subject> {
        let (tracer, closer) = common::tracer("overhead", self.sampled)?;
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let client = (self.client)(&tracer);
        Ok(Subject { client, runtime, tracer, _closer: closer, url: url.clone() })
    }
}

impl Subject {
    /// Sends so many requests, one after the other.
    pub(crate) fn run(&self, requests: usize) -> Outcome {
        self.runtime.block_on(async {
            for _ in 0..requests {
                let body = self.client.fetch(&self.url).await?;
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
