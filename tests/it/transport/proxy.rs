//! Proxies: which requests go through them, what they get, and that nobody sees their passwords.

#![cfg(all(feature = "collector-http", feature = "remote-sampler"))]

use std::env;
use std::net::TcpStream;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use crate::support::http::{Server, ServerResponse, nobody, redirect, status};
use crate::support::{SOON, binary, builder, eventually, memory_logger};
use jaeger_client::policy::{
    BaggageRestrictionManager, DebugThrottler, RemoteBaggageRestrictionManager, RemoteThrottler,
};
use jaeger_client::sampler::{FetchOutcome, RemoteSampler};
use jaeger_client::{
    BaggageRestrictionsConfig, Configuration, HttpConfig, NullLogger, ProxyConfig, ReporterConfig,
    SamplerConfig, ThrottlerConfig, Tracer,
};

fn through(proxy: &str) -> ProxyConfig {
    ProxyConfig::Fixed { http: Some(proxy.into()), https: None, no_proxy: String::new() }
}

fn strategy(rate: &str) -> ServerResponse {
    let body = format!(r#"{{"probabilisticSampling":{{"samplingRate":{rate}}}}}"#);
    ServerResponse::Status(200, "", body.into())
}

#[test]
fn an_http_proxy_gets_whole_requests_for_http_urls() {
    let proxy = Server::start(|_, _| status(202));
    let url = format!("http://ann:h%40sh@127.0.0.1:{}", proxy.port());
    let config = HttpConfig {
        proxy: through(&url),
        auth_token: Some("t0ken".into()),
        ..HttpConfig::new("http://collector.invalid:14268")
    };
    let (tracer, closer) = builder().collector(config).build().unwrap();
    for sent in [1, 2] {
        (0..1_000).for_each(|_| tracer.span("op").tag("text", "x".repeat(100)).start().finish());
        assert_eq!(tracer.flush(SOON).stats.sent, sent * 1_000);
    }
    assert!(closer.close(SOON).complete);
    let requests = proxy.requests();
    assert_eq!(requests.len(), 2);
    for request in &requests {
        let url = "http://collector.invalid:14268/api/traces?format=jaeger.thrift";
        assert_eq!(request.line, format!("POST {url} HTTP/1.1"));
        assert_eq!(request.header("host"), Some("collector.invalid:14268"));
        assert_eq!(request.header("proxy-authorization"), Some("Basic YW5uOmhAc2g="));
        assert_eq!(request.header("authorization"), Some("Bearer t0ken"));
        assert_eq!(binary::body_names(&request.body).len(), 1_000);
    }
}

#[test]
fn samplers_restrictions_and_throttlers_poll_through_it_too() {
    let proxy = Server::start(|_, request| match &request.line {
        line if line.contains("baggage") => {
            ServerResponse::Status(200, "", br#"[{"baggageKey":"a","maxValueLength":3}]"#.to_vec())
        }
        line if line.contains("credits") => {
            let balances = br#"{"balances":[{"operation":"op","balance":1}]}"#;
            ServerResponse::Status(200, "", balances.to_vec())
        }
        _ => strategy("0.25"),
    });
    let proxies = through(&proxy.url());
    let sampler = RemoteSampler::builder("a service")
        .sampling_server_url("http://agent.invalid/sampling?x=y")
        .proxy(proxies.clone())
        .build()
        .unwrap();
    assert_eq!(sampler.refresh(), FetchOutcome::Updated);
    let config =
        BaggageRestrictionsConfig { host_port: "agent.invalid:1".into(), ..Default::default() };
    let manager = RemoteBaggageRestrictionManager::with_proxy("svc", &config, &proxies).unwrap();
    let config = ThrottlerConfig {
        host_port: "agent.invalid:2".into(),
        synchronous_initialization: true,
        ..Default::default()
    };
    let throttler = Arc::new(RemoteThrottler::with_proxy("svc", &config, &proxies).unwrap());
    let manager = Arc::new(manager);
    let (_tracer, _closer) = Tracer::builder("svc")
        .logger(NullLogger)
        .null_reporter()
        .baggage_restriction_manager(Arc::clone(&manager))
        .debug_throttler(Arc::clone(&throttler))
        .build()
        .unwrap();
    assert!(throttler.is_allowed("op"), "{:?}", throttler.updates());
    eventually(|| manager.updates().ok == 1);
    let lines: Vec<_> = proxy.requests().into_iter().map(|request| request.line).collect();
    for begins in [
        "GET http://agent.invalid/sampling?x=y&service=a%20service HTTP/1.1",
        "GET http://agent.invalid:1/baggageRestrictions?service=svc HTTP/1.1",
        "GET http://agent.invalid:2/credits?operations=op&service=svc&uuid=",
    ] {
        assert!(lines.iter().any(|line| line.starts_with(begins)), "{begins}: {lines:?}");
    }
}

#[test]
fn what_a_proxy_passes_on_is_understood_whatever_its_form() {
    let body = r#"{"probabilisticSampling":{"samplingRate":0.5}}"#;
    let (first, rest) = body.split_at(9);
    for response in [
        format!("HTTP/1.1 200 x\r\ncontent-length: {}\r\n\r\n{body}", body.len()),
        format!("HTTP/1.1 200 x\r\nconnection: close\r\n\r\n{body}"),
        format!("HTTP/1.0 200 x\r\n\r\n{body}"),
        format!(
            "HTTP/1.1 103 Early\r\nlink: x\r\n\r\nHTTP/1.1 200 x\r\ntransfer-encoding: chunked\r\n\r\n\
             {:x}\r\n{first}\r\n{:x}\r\n{rest}\r\n0\r\n\r\n",
            first.len(),
            rest.len()
        ),
    ] {
        let bytes = response.clone().into_bytes();
        let proxy = Server::start(move |_, _| ServerResponse::Raw(bytes.clone()));
        let sampler = RemoteSampler::builder("svc")
            .sampling_server_url("http://agent.invalid/")
            .proxy(through(&proxy.url()))
            .build()
            .unwrap();
        assert_eq!(sampler.refresh(), FetchOutcome::Updated, "{response}");
    }
}

#[test]
fn a_proxy_that_fails_is_named_and_its_password_is_not() {
    let refuses = Server::start(|_, _| status(407));
    let breaks = Server::start(|_, _| ServerResponse::Close);
    for (port, words, lost) in [
        (nobody().rsplit_once(':').unwrap().1.parse().unwrap(), "the proxy 127.0.0.1:", 0),
        (refuses.port(), "responded with 407", 0),
        (breaks.port(), "ended without a response", 1),
    ] {
        let logger = memory_logger();
        let config = HttpConfig {
            proxy: through(&format!("http://ann:hush@127.0.0.1:{port}")),
            retry_limit: Duration::from_millis(200),
            ..HttpConfig::new("http://collector.invalid")
        };
        assert!(!format!("{config:?}").contains("hush"));
        let (tracer, closer) =
            builder().logger(Arc::clone(&logger)).collector(config).build().unwrap();
        tracer.start_span("op").finish();
        let stats = tracer.flush(SOON).stats;
        assert_eq!((stats.dropped.send_failed, stats.unconfirmed), (1, lost), "{words}");
        assert!(closer.close(SOON).complete);
        assert!(logger.has(words) && !logger.has("hush"), "{:?}", logger.all());
    }
}

#[test]
fn hosts_that_are_excepted_and_loopback_go_without_it() {
    let proxy = Server::start(|_, _| status(202));
    let direct = Server::start(|_, _| status(202));
    for host in ["127.0.0.1", "localhost"] {
        let config = HttpConfig {
            proxy: through(&proxy.url()),
            ..HttpConfig::new(format!("http://{host}:{}", direct.port()))
        };
        let (tracer, closer) = builder().collector(config).build().unwrap();
        tracer.start_span("op").finish();
        assert_eq!(closer.close(SOON).stats.sent, 1);
    }
    let proxies = ProxyConfig::Fixed {
        http: Some(proxy.url()),
        https: None,
        no_proxy: ".invalid:80".to_owned(),
    };
    let config = HttpConfig {
        proxy: proxies,
        retry_limit: Duration::ZERO,
        ..HttpConfig::new("http://collector.invalid")
    };
    let (tracer, closer) = builder().collector(config).build().unwrap();
    tracer.start_span("op").finish();
    assert_eq!(closer.close(SOON).stats.dropped.send_failed, 1, "nobody has that name");
    assert!(proxy.requests().is_empty());
    assert_eq!(direct.requests().len(), 2);
}

#[test]
fn each_hop_of_a_redirect_goes_the_way_of_its_own_host() {
    let direct = Server::start(|_, _| strategy("0.5"));
    let target = format!("http://127.0.0.1:{}/x", direct.port());
    let proxy = Server::start(move |_, _| redirect(302, &target));
    let sampler = RemoteSampler::builder("svc")
        .sampling_server_url("http://agent.invalid/sampling")
        .proxy(through(&proxy.url()))
        .build()
        .unwrap();
    assert_eq!(sampler.refresh(), FetchOutcome::Updated);
    assert_eq!(proxy.requests().len(), 1);
    assert_eq!(direct.requests()[0].line, "GET /x HTTP/1.1");
}

#[test]
fn a_proxy_that_is_none_is_an_error_that_does_not_show_its_password() {
    let broken = ["http://", "ftp://ann:hush@p", "ann:hush@:x", "http://ann:hush@p:99999", "::"];
    // A password in which these are not percent-encoded ends the name of the host.
    let unescaped = ["http://ann:h/hush@p:1", "ann:h?hush@p:1", "socks5://ann:h#hush@p:1"];
    for proxy in broken.into_iter().chain(unescaped) {
        let config =
            HttpConfig { proxy: through(proxy), ..HttpConfig::new("http://collector.invalid") };
        let error = builder().collector(config).build().map(drop).unwrap_err().to_string();
        assert!(error.contains("proxy.http is ") && error.contains("http://proxy:3128"), "{error}");
        assert!(!error.contains("hush"), "{error}");
        // It is not asked for where it is of no use.
        let config = HttpConfig { proxy: through(proxy), ..HttpConfig::new("http://127.0.0.1:1") };
        drop(builder().collector(config).build().unwrap());
    }
}

#[test]
fn a_socks_proxy_makes_the_connection() {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let collector = Server::start(|_, _| status(202));
    let target = collector.port();
    let serve = move |mut stream: TcpStream| -> std::io::Result<String> {
        let mut greeting = [0; 3];
        stream.read_exact(&mut greeting)?;
        stream.write_all(&[5, 0])?;
        let mut request = [0; 5];
        stream.read_exact(&mut request)?;
        let mut name = vec![0; usize::from(request[4]) + 2];
        stream.read_exact(&mut name)?;
        stream.write_all(&[5, 0, 0, 1, 127, 0, 0, 1, 0, 0])?;
        let mut onward = TcpStream::connect(("127.0.0.1", target))?;
        let (mut back, mut from) = (stream.try_clone()?, onward.try_clone()?);
        std::thread::spawn(move || std::io::copy(&mut from, &mut back));
        std::io::copy(&mut stream, &mut onward)?;
        Ok(String::from_utf8_lossy(&name[..name.len() - 2]).into_owned())
    };
    let requested = std::thread::spawn(move || serve(listener.accept().unwrap().0));
    let config = HttpConfig {
        proxy: through(&format!("socks5h://127.0.0.1:{port}")),
        ..HttpConfig::new("http://collector.invalid")
    };
    let (tracer, closer) = builder().collector(config).build().unwrap();
    tracer.start_span("op").finish();
    assert_eq!(closer.close(SOON).stats.sent, 1);
    drop(tracer);
    assert_eq!(requested.join().unwrap().unwrap(), "collector.invalid");
    assert_eq!(collector.requests()[0].line, "POST /api/traces?format=jaeger.thrift HTTP/1.1");
}

#[test]
fn variables_from_elsewhere_name_proxies_too() {
    let proxy = Server::start(|_, request| match request.line.starts_with("GET") {
        true => strategy("1"),
        false => status(202),
    });
    let url = proxy.url();
    let variables = |name: &str| match name {
        "JAEGER_SERVICE_NAME" => Some("svc"),
        "JAEGER_ENDPOINT" => Some("http://collector.invalid:14268"),
        "JAEGER_SAMPLING_ENDPOINT" => Some("http://agent.invalid:5778/sampling"),
        "http_proxy" => Some(url.as_str()),
        "NO_PROXY" => Some("other.invalid"),
        _ => None,
    };
    let configuration = Configuration::default().with_variables(variables).unwrap();
    let (tracer, closer) = configuration.new_tracer().unwrap();
    eventually(|| proxy.requests().iter().any(|request| request.line.contains("agent.invalid")));
    eventually(|| tracer.sampler_status().to_string().contains('1'));
    tracer.start_span("op").finish();
    assert!(closer.close(SOON).complete);
    let unchanged = Configuration::default().with_variables(|_| None::<&str>).unwrap();
    assert_eq!(unchanged.proxy, ProxyConfig::Environment);
}

/// What a process does that this test starts with proxies in its environment.
const CHILD: &str = "JAEGER_TEST_PROXY_CHILD";

#[test]
fn the_environment_names_proxies_for_whatever_is_built() {
    if env::var_os(CHILD).is_some() {
        return send_from_child();
    }
    let test = "transport::proxy::the_environment_names_proxies_for_whatever_is_built";
    for (variables, arrives) in [
        (&[("HTTP_PROXY", "")][..], true),
        (&[("http_proxy", "")], true),
        (&[("HTTP_PROXY", ""), ("NO_PROXY", "invalid")], false),
        (&[("HTTP_PROXY", ""), ("REQUEST_METHOD", "GET")], false),
        (&[("http_proxy", ""), ("REQUEST_METHOD", "GET")], true),
        (&[("HTTPS_PROXY", "")], false),
    ] {
        let proxy = Server::start(|_, request| match request.line.starts_with("GET") {
            true => strategy("1"),
            false => status(202),
        });
        let mut child = Command::new(env::current_exe().unwrap());
        for name in ["HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "REQUEST_METHOD"] {
            child.env_remove(name).env_remove(name.to_lowercase());
        }
        for (name, value) in variables {
            let is_proxy = value.is_empty();
            child.env(name, if is_proxy { proxy.url() } else { (*value).to_owned() });
        }
        let output = child.args(["--exact", test]).env(CHILD, "1").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        let lines: Vec<_> = proxy.requests().into_iter().map(|request| request.line).collect();
        for line in
            ["POST http://builder.invalid/", "POST http://env.invalid/", "GET http://agent."]
        {
            let is_there = lines.iter().any(|other| other.starts_with(line));
            assert_eq!(is_there, arrives, "{variables:?}: {lines:?}");
        }
    }
}

fn send_from_child() {
    let config = |url: &str| HttpConfig { retry_limit: Duration::ZERO, ..HttpConfig::new(url) };
    let sampler = RemoteSampler::builder("svc").sampling_server_url("http://agent.invalid/");
    let _ = sampler.build().unwrap().refresh();
    let (tracer, closer) = builder().collector(config("http://builder.invalid")).build().unwrap();
    tracer.start_span("op").finish();
    assert!(closer.close(SOON).complete);
    let reporter = ReporterConfig {
        collector_endpoint: Some("http://env.invalid".to_owned()),
        ..ReporterConfig::default()
    };
    let sampler = SamplerConfig::new("const");
    let configuration = Configuration { reporter, sampler, ..Configuration::new("svc") };
    let configuration = configuration.with_env().unwrap();
    let (tracer, closer) =
        configuration.new_tracer_with(|builder| builder.logger(NullLogger)).unwrap();
    tracer.start_span("op").finish();
    assert!(closer.close(SOON).complete);
}
