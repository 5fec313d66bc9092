//! Requests that a server of HTTP/2 says it did not process, and those of which nobody knows.
#![cfg(feature = "http2")]
#![allow(clippy::unwrap_used, reason = "the helpers of tests are tests as well")]

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request};
use http_body::{Body, Frame};
use http_body_util::Full;
use jaeger_client::{Closer, InMemoryReporter};
use jaeger_client_http::{Error, HttpPool, RequestBody, TracedClient};
use parking_lot::Mutex;

mod support;
use support::frames::{
    CANCEL, ENHANCE_YOUR_CALM, INTERNAL_ERROR, NO_ERROR, REFUSED_STREAM, Say, Script,
};
use support::{events, hops, tag, tracer};

struct Run {
    client: TracedClient,
    reporter: InMemoryReporter,
    script: Script,
    _closer: Closer,
}

impl Run {
    async fn new(responses: &'static [&'static [Say]]) -> Self {
        Self::with(Script::start(responses, true, 65_535).await)
    }

    fn with(script: Script) -> Self {
        let (tracer, reporter, closer) = tracer();
        let pool = HttpPool::builder().tls_config(script.config.clone()).build();
        let client = TracedClient::builder(tracer).pool(pool).build();
        Self { client, reporter, script, _closer: closer }
    }

    async fn fetch(&self, method: &Method, body: RequestBody) -> Result<(), Error> {
        let request = Request::builder().method(method).uri(&self.script.url).body(body).unwrap();
        self.client.request(request).send().await?.into_body().read_to_end(9).await?;
        Ok(())
    }

    fn seen(&self) -> Vec<usize> {
        self.script.seen.lock().clone()
    }

    /// How often the last hop says that it was sent again.
    fn retries(&self) -> usize {
        let hops = hops(&self.reporter);
        let reported = events(&hops.last().unwrap().view());
        reported.iter().filter(|event| *event == "Retry").count()
    }
}

fn once() -> RequestBody {
    RequestBody::stream(Full::<Bytes>::from("once"))
}

#[tokio::test]
async fn what_a_server_did_not_process_is_sent_again_and_reported() {
    const REFUSALS: [&[&[Say]]; 3] = [
        &[&[Say::GoAway(0, NO_ERROR)], &[Say::Ok]],
        &[&[Say::GoAway(0, NO_ERROR), Say::Close], &[Say::Ok]],
        &[&[Say::Reset(REFUSED_STREAM)], &[Say::Ok]],
    ];
    for responses in REFUSALS {
        for method in [Method::GET, Method::POST] {
            let run = Run::new(responses).await;
            let body = if method == Method::POST { "hello" } else { "" };
            run.fetch(&method, body.into()).await.unwrap();
            assert_eq!(run.seen(), [0, 1], "{method} {responses:?}");
            assert_eq!(run.retries(), 1, "{method} {responses:?}");
            let spans = hops(&run.reporter);
            assert_eq!(spans.len(), 1, "it is the same hop");
            assert_eq!(tag(&spans[0].view(), "error"), None);
            assert_eq!(tag(&spans[0].view(), "http.status_code").unwrap(), "200");
        }
    }
}

#[tokio::test]
async fn what_a_server_may_have_processed_is_not_sent_again() {
    const ENDS: [&[&[Say]]; 6] = [
        // It came to the last stream that counts, and has no response.
        &[&[Say::GoAway(1, NO_ERROR), Say::Close]],
        &[&[Say::GoAway(0, ENHANCE_YOUR_CALM)]],
        &[&[Say::Reset(INTERNAL_ERROR)]],
        &[&[Say::Reset(CANCEL)]],
        &[&[Say::Reset(NO_ERROR)]],
        &[&[Say::Close]],
    ];
    for responses in ENDS {
        let run = Run::new(responses).await;
        let error = run.fetch(&Method::POST, "hello".into()).await.unwrap_err();
        assert!(matches!(error, Error::Exchange { .. }), "{responses:?}: {error:?}");
        assert_eq!((run.seen().len(), run.retries()), (1, 0), "{responses:?}");
    }
}

#[tokio::test]
async fn a_body_that_can_be_sent_once_is_sent_again_only_if_it_was_not_begun() {
    const RESPONSES: &[&[Say]] = &[&[Say::Reset(REFUSED_STREAM)], &[Say::Ok]];
    let begun = Run::new(RESPONSES).await;
    begun.fetch(&Method::POST, once()).await.unwrap_err();
    assert_eq!((begun.seen(), begun.retries()), (vec![0], 0));
    // Heads are answered at once, and the body has nothing to say until there were two of them.
    let waiting = Run::with(Script::start(RESPONSES, false, 65_535).await);
    let body = Late { seen: Arc::clone(&waiting.script.seen), timer: None, ended: false };
    waiting.fetch(&Method::POST, RequestBody::stream(body)).await.unwrap();
    assert_eq!((waiting.seen(), waiting.retries()), (vec![0, 1], 1));
}

/// A body that begins once the server has seen two requests.
struct Late {
    seen: Arc<Mutex<Vec<usize>>>,
    timer: Option<Pin<Box<tokio::time::Sleep>>>,
    ended: bool,
}

impl Body for Late {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        while self.seen.lock().len() < 2 {
            let pause = || Box::pin(tokio::time::sleep(Duration::from_millis(5)));
            std::task::ready!(self.timer.get_or_insert_with(pause).as_mut().poll(cx));
            self.timer = None;
        }
        let ended = std::mem::replace(&mut self.ended, true);
        Poll::Ready((!ended).then(|| Ok(Frame::data("late".into()))))
    }
}

#[tokio::test]
async fn a_connection_that_breaks_is_replaced_where_that_does_no_harm() {
    const RESPONSES: &[&[Say]] = &[&[Say::Ok], &[Say::Close], &[Say::Ok], &[Say::Ok]];
    for (method, retried) in [(Method::GET, true), (Method::POST, false)] {
        let run = Run::new(RESPONSES).await;
        run.fetch(&Method::GET, "".into()).await.unwrap();
        let response = run.fetch(&method, "".into()).await;
        assert_eq!(response.is_ok(), retried, "{response:?}");
        assert_eq!(run.retries(), usize::from(retried));
        // No other request comes over it.
        run.fetch(&Method::POST, "".into()).await.unwrap();
        assert!(run.seen()[2..].iter().all(|connection| *connection == 1), "{:?}", run.seen());
    }
}

#[tokio::test]
async fn a_server_that_always_refuses_gets_seven_requests() {
    let run = Run::new(&[&[Say::Reset(REFUSED_STREAM)]]).await;
    let error = run.fetch(&Method::POST, "hello".into()).await.unwrap_err();
    assert!(matches!(error, Error::Exchange { .. }), "{error:?}");
    assert_eq!((run.seen().len(), run.retries()), (7, 6));
}

#[tokio::test]
async fn a_retry_ends_with_the_time_for_the_whole_request() {
    let run = Run::new(&[&[Say::Reset(REFUSED_STREAM)]]).await;
    let request = Request::get(&run.script.url).body(()).unwrap();
    let request = run.client.request(request).timeout(Duration::from_millis(500));
    assert!(request.send().await.unwrap_err().is_timeout());
    assert!(run.seen().len() <= 3);
}
