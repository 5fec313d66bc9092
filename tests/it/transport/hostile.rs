//! Servers that mean no good, parts that refuse to start, and parts that start while others close.

#![cfg(feature = "remote-sampler")]

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicIsize, Ordering};
use std::thread;
use std::time::Duration;

use crate::support::{SOON, eventually, timed};
use jaeger_client::policy::{
    BaggageRestriction, BaggageRestrictionManager, DebugThrottler, PolicyHost,
    RemoteBaggageRestrictionManager, RemoteThrottler,
};
use jaeger_client::sampler::HttpSource;
use jaeger_client::{
    BaggageRestrictionsConfig, Closer, ConfigError, NullLogger, ThrottlerConfig, Tracer,
};

const NEVER: Duration = Duration::from_secs(3600);

/// Starts a server on loopback that calls a function for each request, with the first line and the stream to
/// write to. It ends with the process.
fn server(response: impl Fn(&str, &mut TcpStream) + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let response = Arc::new(response);
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let response = Arc::clone(&response);
            thread::spawn(move || {
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                let Some(Ok(first)) = lines.next() else { return };
                lines.map_while(Result::ok).find(String::is_empty);
                response(&first, &mut stream);
            });
        }
    });
    address
}

fn say(stream: &mut TcpStream, status: u16, body: &str) {
    let length = body.len();
    let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {length}\r\nConnection: close\r\n");
    let _ = stream.write_all(format!("{head}\r\n{body}").as_bytes());
}

fn throttler(host_port: String, every: Duration, at_once: bool) -> Arc<RemoteThrottler> {
    let config = ThrottlerConfig {
        host_port,
        refresh_interval: every,
        synchronous_initialization: at_once,
        ..ThrottlerConfig::default()
    };
    Arc::new(RemoteThrottler::new("svc", &config).unwrap())
}

fn throttled_by(throttler: &Arc<RemoteThrottler>) -> (Tracer, Closer) {
    let builder = Tracer::builder("svc").logger(NullLogger).null_reporter();
    builder.debug_throttler(Arc::clone(throttler)).build().unwrap()
}

/// Returns what servers write again and again, after a beginning, and with pauses.
fn endless_responses() -> Vec<(&'static str, String, &'static str, Duration)> {
    let (head, slow) = ("HTTP/1.1 200 X\r\n", Duration::from_millis(50));
    let chunked = format!("{head}Transfer-Encoding: chunked\r\n\r\n");
    vec![
        ("early hints", String::new(), "HTTP/1.1 103 Early Hints\r\n\r\n", Duration::ZERO),
        ("slow early hints", String::new(), "HTTP/1.1 103 Early Hints\r\n\r\n", slow),
        ("continues", String::new(), "HTTP/1.1 100 Continue\r\n\r\n", Duration::ZERO),
        ("headers", head.into(), "X-Same: a\r\n", Duration::ZERO),
        ("one header", format!("{head}X-Long: "), "aaaaaaaaaaaaaaaa", Duration::ZERO),
        ("slow headers", head.into(), "X-Same: a\r\n", slow),
        ("a slow status line", String::new(), "H", slow),
        ("chunks", chunked.clone(), "4\r\n    \r\n", Duration::ZERO),
        ("one chunk", format!("{chunked}ffffffffffffffff\r\n"), "    ", Duration::ZERO),
        ("a chunk's size", chunked, "0", Duration::ZERO),
        ("a slow body", format!("{head}Content-Length: 1000000\r\n\r\n"), " ", slow),
        ("a body without end", format!("{head}\r\n"), "    ", Duration::ZERO),
    ]
}

/// Answers that are no HTTP, or not quite.
const BROKEN_RESPONSES: &[&str] = &[
    "",
    "\r\n",
    "\u{0}\u{1}\u{2}",
    "HTTP/9.9 200 X\r\n\r\n",
    "HTTP/1.1 99999 X\r\n\r\n",
    "HTTP/1.1 -1 X\r\n\r\n",
    "HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n",
    "HTTP/1.1 200 X\r\nContent-Length: -1\r\n\r\n",
    "HTTP/1.1 200 X\r\nContent-Length: 99999999999999999999999\r\n\r\n",
    "HTTP/1.1 200 X\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
    "HTTP/1.1 200 X\r\nContent-Length: 5\r\n\r\nab",
    "HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
    "HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
    "HTTP/1.1 200 X\r\nTransfer-Encoding: gzip, chunked\r\nContent-Length: 3\r\n\r\nabc",
    "HTTP/1.1 200 X\r\nno colon\r\n\r\n",
    "HTTP/1.1 200 X\r\n: no name\r\n\r\n",
    "HTTP/1.1 200 X\r\nLocation: \u{7f}\r\n\r\n",
    "HTTP/1.1 503 X\r\nRetry-After: \u{ff}\r\n\r\n",
    "HTTP/1.1 503 X\r\nRetry-After: 18446744073709551615\r\nRetry-After: 0\r\n\r\n",
];

/// Writes again and again until nobody listens.
fn without_end(stream: &mut TcpStream, what: &[u8], pause: Duration) {
    while stream.write_all(what).is_ok() {
        thread::sleep(pause);
    }
}

#[test]
fn an_immediate_poll_is_over_in_time_whatever_a_server_writes_without_end() {
    for (name, first, again, pause) in endless_responses() {
        let address = server(move |_, stream| {
            let _ = stream.write_all(first.as_bytes());
            without_end(stream, again.as_bytes(), pause);
        });
        let throttler = throttler(address, NEVER, true);
        let (_tracer, _closer) = throttled_by(&throttler);
        let (allowed, took) = timed(|| throttler.is_allowed("op"));
        let error = throttler.updates().last_error;
        assert!(!allowed && took < SOON, "{name}: {took:?}, {error:?}");
        assert!(error.is_some(), "{name}");
    }
}

/// Collectors reached directly and through a proxy, which is then the server.
#[cfg(feature = "collector-http")]
fn both_ways(address: &str, timeout: Duration) -> [jaeger_client::HttpConfig; 2] {
    use jaeger_client::{HttpConfig, ProxyConfig};
    let proxy = ProxyConfig::Fixed {
        http: Some(format!("http://{address}")),
        https: None,
        no_proxy: String::new(),
    };
    let bounded = |url: String| HttpConfig {
        timeout,
        retry_limit: Duration::from_millis(200),
        ..HttpConfig::new(url)
    };
    let proxied = HttpConfig { proxy, ..bounded("http://collector.invalid".to_owned()) };
    [bounded(format!("http://{address}")), proxied]
}

/// Sends a span there, and another one; fails unless both are settled and counted.
#[cfg(feature = "collector-http")]
fn sends_and_counts(name: &str, config: jaeger_client::HttpConfig) -> jaeger_client::Stats {
    let (tracer, closer) = crate::support::builder().collector(config).build().unwrap();
    for _ in 0..2 {
        tracer.start_span("op").finish();
        let report = tracer.flush(SOON);
        assert!(report.complete && report.stats.is_balanced(), "{name}: {report}");
    }
    let stats = closer.close(SOON).stats;
    assert_eq!(stats.sent + stats.dropped.send_failed, 2, "{name}: {stats}");
    stats
}

#[cfg(feature = "collector-http")]
#[test]
fn whatever_a_collector_writes_without_end_a_message_is_over_in_time() {
    thread::scope(|scope| {
        for (name, first, again, pause) in endless_responses() {
            let address = server(move |_, stream| {
                let _ = stream.write_all(first.as_bytes());
                without_end(stream, again.as_bytes(), pause);
            });
            // A status that came is a response, however long it goes on.
            let is_responded = name.contains("body") || name.contains("chunk");
            let timeout = if is_responded { SOON } else { Duration::from_secs(3) };
            for config in both_ways(&address, timeout) {
                scope.spawn(move || {
                    let stats = sends_and_counts(name, config);
                    assert_eq!(stats.sent, if is_responded { 2 } else { 0 }, "{name}: {stats}");
                    assert_eq!(stats.unconfirmed, stats.dropped.send_failed, "{name}: {stats}");
                });
            }
        }
    });
}

#[cfg(feature = "collector-http")]
#[test]
fn a_response_whose_body_never_ends_delays_messages_by_a_second() {
    let address = server(|_, stream| {
        let _ = stream.write_all(b"HTTP/1.1 202 X\r\nContent-Length: 1000000\r\n\r\n");
        without_end(stream, b" ", Duration::from_millis(50));
    });
    for config in both_ways(&address, NEVER) {
        assert_eq!(sends_and_counts("a slow body", config).sent, 2);
    }
}

#[cfg(feature = "collector-http")]
#[test]
fn each_span_is_counted_once_whatever_a_collector_responds() {
    for response in BROKEN_RESPONSES {
        let address = server(|_, stream| {
            let _ = stream.write_all(response.as_bytes());
        });
        for config in both_ways(&address, SOON) {
            sends_and_counts(response, config);
        }
    }
}

#[test]
fn a_poll_is_over_in_time_whatever_is_responded() {
    for response in BROKEN_RESPONSES {
        let address = server(|_, stream| {
            let _ = stream.write_all(response.as_bytes());
        });
        let throttler = throttler(address, NEVER, true);
        let (_tracer, _closer) = throttled_by(&throttler);
        assert!(!throttler.is_allowed("op"), "{response}");
        assert!(throttler.updates().last_error.is_some(), "{response}");
    }
}

#[test]
fn a_server_that_demands_long_pauses_cannot_stop_the_polls() {
    let requested = Arc::new(AtomicIsize::new(0));
    let counts = Arc::clone(&requested);
    let address = server(move |_, stream| {
        counts.fetch_add(1, Ordering::SeqCst);
        let head = "HTTP/1.1 503 X\r\nRetry-After: 18446744073709551615\r\n";
        let _ = stream.write_all(format!("{head}Content-Length: 0\r\n\r\n").as_bytes());
    });
    let config = BaggageRestrictionsConfig {
        host_port: address,
        refresh_interval: Duration::from_millis(20),
        ..Default::default()
    };
    let manager = RemoteBaggageRestrictionManager::new("svc", &config).unwrap();
    let builder = Tracer::builder("svc").logger(NullLogger).null_reporter();
    let (_tracer, _closer) = builder.baggage_restriction_manager(manager).build().unwrap();
    eventually(|| requested.load(Ordering::SeqCst) > 3);
}

#[test]
fn time_limits_are_clamped_to_what_can_be_added_to_a_time() {
    use jaeger_client::sampler::{FetchOutcome, RemoteSampler};
    let address = server(|_, stream| {
        say(stream, 200, r#"{"probabilisticSampling":{"samplingRate":0.5}}"#);
    });
    let sampler = RemoteSampler::builder("svc")
        .sampling_server_url(format!("http://{address}/"))
        .fetch_timeout(Duration::MAX)
        .refresh_interval(Duration::MAX)
        .build()
        .unwrap();
    assert_eq!(sampler.refresh(), FetchOutcome::Updated);
    let throttler = throttler(address, Duration::MAX, true);
    let (tracer, closer) = Tracer::builder("svc")
        .logger(NullLogger)
        .agent("127.0.0.1:1")
        .agent_reconnect_interval(Some(Duration::MAX))
        .flush_interval(Duration::MAX)
        .drop_timeout(Duration::MAX)
        .tail_sampling(jaeger_client::TailSamplingConfig {
            slower_than: Some(Duration::MAX),
            ..Default::default()
        })
        .sampler(sampler)
        .debug_throttler(Arc::clone(&throttler))
        .build()
        .unwrap();
    let _ = throttler.is_allowed("op");
    tracer.start_span("op").finish();
    assert!(tracer.flush(Duration::MAX).complete);
    assert!(closer.close(Duration::MAX).complete);
}

#[cfg(feature = "collector-http")]
#[test]
fn time_limits_of_a_collector_are_clamped_too() {
    let address = server(|_, stream| say(stream, 503, ""));
    let config = jaeger_client::HttpConfig {
        timeout: Duration::MAX,
        retry_limit: Duration::MAX,
        max_attempts: 2,
        ..jaeger_client::HttpConfig::new(format!("http://{address}"))
    };
    let stats = sends_and_counts("the longest times", config);
    assert_eq!(stats.dropped.send_failed, 2);
}

#[test]
fn redirects_are_followed_three_times_and_to_http_alone() {
    for to in ["/credits", "file:///etc/hostname", "http://[::1", "//", "\u{7f}"] {
        let requested = Arc::new(AtomicIsize::new(0));
        let counts = Arc::clone(&requested);
        let address = server(move |_, stream| {
            counts.fetch_add(1, Ordering::SeqCst);
            let head = format!("HTTP/1.1 302 X\r\nLocation: {to}\r\nContent-Length: 0\r\n");
            let _ = stream.write_all(format!("{head}Connection: close\r\n\r\n").as_bytes());
        });
        let throttler = throttler(address, NEVER, true);
        let (_tracer, _closer) = throttled_by(&throttler);
        let (allowed, took) = timed(|| throttler.is_allowed("op"));
        let error = throttler.updates().last_error;
        assert!(!allowed && took < SOON, "{to}: {took:?}");
        assert!(error.is_some() && requested.load(Ordering::SeqCst) <= 4, "{to}: {error:?}");
    }
}

#[test]
fn a_refused_poll_does_not_prevent_others() {
    // Two requests: the first names what this server does not take.
    let address = server(|line, stream| {
        if line.contains("aaa") {
            say(stream, 414, "too long");
        } else {
            let operation = "z".repeat(100);
            let balances = format!(r#"{{"balances":[{{"operation":"{operation}","balance":1}}]}}"#);
            say(stream, 200, &balances);
        }
    });
    let throttler = throttler(address, Duration::from_millis(20), false);
    let (_tracer, _closer) = throttled_by(&throttler);
    for operation in ["a".repeat(1_000), "b".repeat(1_000), "z".repeat(100)] {
        assert!(!throttler.is_allowed(&operation));
    }
    eventually(|| throttler.updates().err > 1);
    eventually(|| throttler.is_allowed(&"z".repeat(100)));
}

/// How often it was started and not closed again.
#[derive(Debug, Default)]
struct Begun(AtomicIsize);

impl Begun {
    fn now(&self) -> isize {
        self.0.load(Ordering::SeqCst)
    }
}

impl BaggageRestrictionManager for Begun {
    fn restriction(&self, _service: &str, _key: &str) -> BaggageRestriction {
        BaggageRestriction::ALLOWED
    }

    fn start(&self, _host: &PolicyHost) -> Result<(), ConfigError> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    fn close(&self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// What cannot have what it needs.
#[derive(Debug)]
struct Refuses;

impl DebugThrottler for Refuses {
    fn is_allowed(&self, _operation: &str) -> bool {
        false
    }

    fn start(&self, _host: &PolicyHost) -> Result<(), ConfigError> {
        Err(ConfigError::Empty { field: "what it needs" })
    }
}

#[test]
fn a_tracer_that_cannot_be_built_ends_what_it_had_begun() {
    let begun = Arc::new(Begun::default());
    let builder = Tracer::builder("svc").logger(NullLogger).null_reporter();
    let builder = builder.baggage_restriction_manager(Arc::clone(&begun));
    let error = builder.debug_throttler(Refuses).build().map(drop).unwrap_err();
    assert!(error.to_string().contains("what it needs"), "{error}");
    assert_eq!(begun.now(), 0, "nobody will ever close it");
}

#[test]
fn a_url_with_a_password_is_refused_and_the_password_shown_to_nobody() {
    let with = |host_port: String| {
        let config =
            BaggageRestrictionsConfig { host_port: host_port.clone(), ..Default::default() };
        let restrictions = RemoteBaggageRestrictionManager::new("svc", &config).map(drop);
        let config = ThrottlerConfig { host_port: host_port.clone(), ..Default::default() };
        let throttler = RemoteThrottler::new("svc", &config).map(drop);
        let source = HttpSource::new(&host_port, Duration::from_secs(1)).map(drop);
        [restrictions, throttler, source]
    };
    for url in ["http://ann:hush@localhost:1", "ann:hush@localhost:1", "http://ann:hush@:x:"] {
        for response in with(url.to_owned()) {
            let error = response.expect_err("it would ask without the password").to_string();
            assert!(!error.contains("hush"), "{error}");
        }
    }
}
