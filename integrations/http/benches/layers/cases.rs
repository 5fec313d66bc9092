//! The layers that are compared, each around a service that responds at once.

use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use http_body::Body;
use http_body_util::{Empty, Full};
use jaeger_client::{Closer, Tracer};
use jaeger_client_http::{ClientLayer, TraceLayer};
use tower_layer::Layer;
use tower_service::Service;

use crate::common::{self, Outcome};

/// A layer and the requests that it is given.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// The name of the case without a layer, and what one request may take more than there: instructions
    /// and allocations. Who gains something lowers it, to 5 % above what was measured: how the compiler
    /// divides the code among its units changes a case by 4 %.
    pub(crate) limit: Option<(&'static str, u64, u64)>,
    sampled: bool,
    work: fn(&Tracer) -> Work,
}

/// Handles or sends one request.
pub(crate) type Work = Box<dyn FnMut()>;

pub(crate) const CASES: &[Case] = &[
    Case { name: "a server", limit: None, sampled: true, work: |_| requests(Hello, server) },
    Case {
        name: "tower-http's trace, without a subscriber's layer",
        limit: Some(("a server", u64::MAX, u64::MAX)),
        sampled: true,
        work: |_| requests(tower_http::trace::TraceLayer::new_for_http().layer(Hello), server),
    },
    Case {
        name: "`TraceLayer`",
        limit: Some(("a server", 6_150, 0)),
        sampled: true,
        work: |tracer| requests(TraceLayer::new(tracer.clone()).layer(Hello), server),
    },
    Case {
        name: "`TraceLayer`, not sampled",
        limit: Some(("a server", 3_400, 0)),
        sampled: false,
        work: |tracer| requests(TraceLayer::new(tracer.clone()).layer(Hello), root),
    },
    Case { name: "a gRPC server", limit: None, sampled: true, work: |_| requests(Hello, call) },
    Case {
        name: "`TraceLayer`, gRPC",
        limit: Some(("a gRPC server", 5_850, 1)),
        sampled: true,
        work: |tracer| requests(TraceLayer::new(tracer.clone()).layer(Hello), call),
    },
    Case { name: "a client", limit: None, sampled: true, work: |_| requests(Hello, client) },
    Case {
        name: "`ClientLayer`",
        limit: Some(("a client", 7_950, 2)),
        sampled: true,
        work: |tracer| requests(ClientLayer::new(tracer.clone()).layer(Hello), client),
    },
    Case {
        name: "`ClientLayer`, not sampled",
        limit: Some(("a client", 6_770, 1)),
        sampled: false,
        work: |tracer| requests(ClientLayer::new(tracer.clone()).layer(Hello), client),
    },
];

/// What a server gets from a caller that is traced.
fn server() -> Request<Empty<Bytes>> {
    let mut request = root();
    let context = HeaderValue::from_static("a1b2c3d4e5f60718:18f7e6d5c4b3a291:0:1");
    request.headers_mut().insert("uber-trace-id", context);
    request
}

/// What a server gets from a caller that is not.
fn root() -> Request<Empty<Bytes>> {
    request("/orders/4711?page=2", "application/json")
}

fn call() -> Request<Empty<Bytes>> {
    request("/shop.v1.Orders/Get", "application/grpc")
}

fn client() -> Request<Empty<Bytes>> {
    request("http://localhost:8080/orders/4711?page=2", "application/json")
}

fn request(url: &'static str, content_type: &'static str) -> Request<Empty<Bytes>> {
    let mut request = Request::new(Empty::new());
    *request.uri_mut() = http::Uri::from_static(url);
    let headers = request.headers_mut();
    headers.insert("host", HeaderValue::from_static("localhost:8080"));
    headers.insert("user-agent", HeaderValue::from_static("curl/8.14"));
    headers.insert("content-type", HeaderValue::from_static(content_type));
    request
}

/// Sends such requests to a service, and reads their responses to the end.
fn requests<S, B>(mut service: S, request: fn() -> Request<Empty<Bytes>>) -> Work
where
    S: Service<Request<Empty<Bytes>>, Response = Response<B>, Error = Infallible> + 'static,
    B: Body,
{
    Box::new(move || {
        let mut cx = Context::from_waker(Waker::noop());
        let response = pin!(service.call(request())).poll(&mut cx);
        let Poll::Ready(Ok(response)) = response else { unreachable!("it responds at once") };
        let mut body = pin!(black_box(response).into_body());
        while let Poll::Ready(Some(frame)) = body.as_mut().poll_frame(&mut cx) {
            black_box(frame.is_ok());
        }
    })
}

/// Responds at once, to gRPC as well.
#[derive(Clone)]
struct Hello;

impl<B> Service<Request<B>> for Hello {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _request: Request<B>) -> Self::Future {
        let mut response = Response::new(Full::new(Bytes::from_static(b"two books")));
        response.headers_mut().insert("grpc-status", HeaderValue::from_static("0"));
        ready(Ok(response))
    }
}

impl Case {
    /// Gives the work of this case to `run`, with a tracer that encodes all and sends nothing, and a function that
    /// flushes it.
    pub(crate) fn with<T>(
        &self,
        run: impl FnOnce(&mut Work, &dyn Fn() -> Outcome) -> Outcome<T>,
    ) -> Outcome<T> {
        let (tracer, closer): (Tracer, Closer) = common::tracer("layers", self.sampled)?;
        let result = run(&mut (self.work)(&tracer), &|| common::flush(&tracer))?;
        let report = closer.close(Duration::from_secs(30));
        if report.complete && report.stats.open == 0 && report.stats.misused == 0 {
            return Ok(result);
        }
        Err(format!("spans were left open: {report}").into())
    }
}
