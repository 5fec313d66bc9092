//! The HTTP client with nginx, which ends each HTTP/2 connection after some requests.
#![allow(clippy::unwrap_used, reason = "the helpers of tests are tests as well")]
#![allow(clippy::disallowed_methods, reason = "a test says how long it took")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use http::{Method, Request};
use interop::nginx::{Nginx, find};
use interop::opt_in::{print_line, set_up};
use jaeger_client::Tracer;
use jaeger_client_http::rustls::pki_types::CertificateDer;
use jaeger_client_http::rustls::{ClientConfig, RootCertStore, crypto};
use jaeger_client_http::{ClientTrace, Error, HttpPool, TracedClient};

const TASKS: usize = 32;
const REQUESTS: usize = 40_000;

/// Counts the events of requests.
#[derive(Default)]
struct Count {
    connections: AtomicUsize,
    retries: AtomicUsize,
    failed: AtomicUsize,
}

impl ClientTrace for Count {
    fn tls_handshake_start(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
    }

    fn retry(&self, _error: &Error) {
        self.retries.fetch_add(1, Ordering::Relaxed);
    }
}

fn trusting(certificate: &CertificateDer<'static>) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let mut config =
        ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    Arc::new(config)
}

async fn fetch(client: &TracedClient, method: &Method, url: &str, count: &Arc<Count>) {
    let body = if *method == Method::POST { "hello" } else { "" };
    let request = Request::builder().method(method).uri(url).body(body).unwrap();
    let request = client.request(request).also_trace(Arc::clone(count) as Arc<dyn ClientTrace>);
    let read = async { request.send().await?.into_body().read_to_end(99).await };
    match read.await {
        Ok(body) => assert_eq!(body, "hello"),
        Err(error) => {
            if count.failed.fetch_add(1, Ordering::Relaxed) == 0 {
                print_line(&format!("{error:?}"));
            }
        }
    }
}

#[test]
fn no_request_fails_where_nginx_ends_its_connections() {
    if set_up("no_request_fails_where_nginx_ends_its_connections", find).is_none() {
        return;
    }
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let config = trusting(made.cert.der());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    // 1,000 is nginx's default.
    for keepalive_requests in [10, 1000] {
        let nginx =
            Nginx::start(keepalive_requests, &made.cert.pem(), &made.signing_key.serialize_pem());
        let url = format!("https://localhost:{}/", nginx.port);
        for method in [Method::GET, Method::POST] {
            let (tracer, _closer) = Tracer::builder("client").null_reporter().build().unwrap();
            let pool = HttpPool::builder().tls_config(Arc::clone(&config)).build();
            let client = TracedClient::builder(tracer).pool(pool).build();
            let (count, from) = (Arc::<Count>::default(), Instant::now());
            let tasks = (0..TASKS).map(|_| {
                let (client, method) = (client.clone(), method.clone());
                let (url, count) = (url.clone(), Arc::clone(&count));
                runtime.spawn(async move {
                    for _ in 0..REQUESTS / TASKS {
                        fetch(&client, &method, &url, &count).await;
                    }
                })
            });
            for task in tasks.collect::<Vec<_>>() {
                runtime.block_on(task).unwrap();
            }
            let [failed, retries, connections] =
                [&count.failed, &count.retries, &count.connections]
                    .map(|n| n.load(Ordering::Relaxed));
            print_line(&format!(
                "{method}, keepalive_requests {keepalive_requests}: {failed} of {REQUESTS} failed, \
                 {retries} retries, {connections} connections, {:?}",
                from.elapsed()
            ));
            assert_eq!(failed, 0);
            assert!(connections >= REQUESTS / keepalive_requests as usize);
        }
    }
}
