//! Many requests at once: every event is there, and none is on another request.
#![allow(clippy::unwrap_used, reason = "the helpers of tests are tests as well")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::Request;
use jaeger_client_http::{ClientTrace, GotConn, HttpPool, PutIdleError, TracedClient};

mod support;
use support::{Server, events, hops, tracer};

const TASKS: usize = 32;
const REQUESTS: usize = 400;

/// The events of one request.
#[derive(Default)]
struct Events {
    port: AtomicUsize,
    reused: AtomicUsize,
    events: parking_lot::Mutex<Vec<&'static str>>,
}

impl Events {
    fn event(&self, name: &'static str) {
        self.events.lock().push(name);
    }
}

impl ClientTrace for Events {
    fn get_conn(&self, _host_port: &str) {
        self.event("GetConn");
    }

    fn got_conn(&self, conn: &GotConn) {
        self.port.store(conn.local_address.unwrap().port().into(), Ordering::SeqCst);
        self.reused.store(conn.reused.into(), Ordering::SeqCst);
        self.event("GotConn");
    }

    fn wrote_headers(&self) {
        self.event("WroteHeaders");
    }

    fn wrote_request(&self, error: Option<&(dyn std::error::Error + 'static)>) {
        assert!(error.is_none());
        self.event("WroteRequest");
    }

    fn got_first_response_byte(&self) {
        self.event("GotFirstResponseByte");
    }

    fn put_idle_conn(&self, error: Option<PutIdleError>) {
        assert!(error.is_none());
        self.event("PutIdleConn");
    }

    fn closed_body(&self) {
        self.event("ClosedBody");
    }
}

const WIRE: [&str; 7] = [
    "GetConn",
    "GotConn",
    "WroteHeaders",
    "WroteRequest",
    "GotFirstResponseByte",
    "PutIdleConn",
    "ClosedBody",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_12800_requests_by_32_tasks_no_event_is_lost_and_none_on_another_request() {
    let server = Server::start().await;
    let (tracer, reporter, _closer) = tracer();
    let pool = HttpPool::builder().max_idle_per_host(TASKS).build();
    let client = TracedClient::builder(tracer).pool(pool).build();
    // An address, so that the system's resolver is not what is tried here.
    let url = format!("http://{}/peer", server.address);
    let dialed = Arc::new(AtomicUsize::new(0));
    let tasks = (0..TASKS).map(|_| {
        let (client, url, dialed) = (client.clone(), url.clone(), Arc::clone(&dialed));
        tokio::spawn(async move {
            for _ in 0..REQUESTS {
                let reported = Arc::new(Events::default());
                let request = Request::get(&url).body(()).unwrap();
                let request = client.request(request).also_trace(Arc::clone(&reported) as _);
                let response = request.send().await.unwrap();
                let body = response.into_body().read_to_end(99).await.unwrap();
                // The server says which port of ours it talked to.
                let port: usize = std::str::from_utf8(&body).unwrap().parse().unwrap();
                assert_eq!(reported.port.load(Ordering::SeqCst), port);
                assert_eq!(*reported.events.lock(), WIRE);
                dialed.fetch_add(1 - reported.reused.load(Ordering::SeqCst), Ordering::SeqCst);
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    let dialed = dialed.load(Ordering::SeqCst);
    assert_eq!(dialed, server.accepted.load(Ordering::SeqCst));
    let hops = hops(&reporter);
    assert_eq!(hops.len(), TASKS * REQUESTS);
    let mut connected = 0;
    for hop in &hops {
        let mut reported = events(&hop.view());
        let before = reported.len();
        reported.retain(|event| !event.starts_with("Connect"));
        connected += usize::from(reported.len() == before - 2);
        assert_eq!(reported, WIRE);
    }
    assert_eq!(connected, dialed, "who dialed, and nobody else, tells so");
}
