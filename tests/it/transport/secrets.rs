//! Passwords and tokens: none is in a `Debug`, an error or a log line, wherever it was configured.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use crate::support::http::{Server, ServerResponse, nobody};
use crate::support::{SOON, builder, eventually, memory_logger};
use jaeger_client::sampler::SamplerParams;
use jaeger_client::{
    BaggageRestrictionsConfig, Configuration, Destination, HttpConfig, ReporterConfig,
    SamplerConfig, ThrottlerConfig, Tracer,
};

/// A URL with a user, a password, and tokens in its query.
const URL: &str = "https://ann:s3cret@host.example:14268/path?token=s3cret&s3cret&k=s3cret@x";

fn assert_hidden(what: &dyn Debug) {
    for shown in [format!("{what:?}"), format!("{what:#?}")] {
        assert!(!shown.contains("s3cret"), "{shown}");
    }
}

fn secret() -> Option<String> {
    Some("s3cret".to_owned())
}

fn url() -> Option<String> {
    Some(URL.to_owned())
}

fn reporter() -> ReporterConfig {
    ReporterConfig {
        local_agent_host_port: URL.to_owned(),
        collector_endpoint: url(),
        oversize_endpoint: url(),
        password: secret(),
        auth_token: secret(),
        http_headers: vec![("x-key".to_owned(), "s3cret".to_owned())],
        ca_certificates: secret(),
        ..ReporterConfig::default()
    }
}

#[test]
fn no_debug_of_a_configuration_shows_a_secret() {
    let sampler =
        SamplerConfig { sampling_server_url: URL.to_owned(), ..SamplerConfig::new("remote") };
    let mut params = SamplerParams::new("svc", 1.0);
    params.sampling_server_url = URL;
    let baggage = BaggageRestrictionsConfig { host_port: URL.to_owned(), ..Default::default() };
    let throttler = ThrottlerConfig { host_port: URL.to_owned(), ..Default::default() };
    let http = HttpConfig {
        password: secret(),
        auth_token: secret(),
        headers: vec![("x-key".to_owned(), "s3cret".to_owned())],
        ca_certificates: secret(),
        ..HttpConfig::new(URL)
    };
    let configuration = Configuration {
        reporter: reporter(),
        sampler: sampler.clone(),
        tags: vec![("db".to_owned(), "postgres://app:s3cret@db/orders".into())],
        baggage_restrictions: Some(baggage.clone()),
        throttler: Some(throttler.clone()),
        ..Configuration::new("svc")
    };
    let built = Tracer::builder("svc")
        .tag("db", "postgres://app:s3cret@db/orders")
        .collector(http.clone())
        .oversize_to(http.clone());
    let shown: [&dyn Debug; 9] = [
        &configuration,
        &reporter(),
        &sampler,
        &params,
        &baggage,
        &throttler,
        &http,
        &Destination::collector(http.clone()),
        &built,
    ];
    shown.into_iter().for_each(assert_hidden);
    let shown = format!("{configuration:?}");
    assert!(shown.contains("https://(hidden)@x"), "{shown}");
    assert!(shown.contains("postgres://(hidden)@db/orders"), "{shown}");
}

#[cfg(feature = "remote-sampler")]
#[test]
fn no_debug_of_a_poller_shows_a_secret() {
    use jaeger_client::policy::{RemoteBaggageRestrictionManager, RemoteThrottler};
    use jaeger_client::sampler::{HttpSource, RemoteSampler};
    let url = "http://host:5778/sampling?token=s3cret";
    assert_hidden(&RemoteSampler::builder("svc").sampling_server_url(url));
    assert_hidden(&RemoteSampler::builder("svc").sampling_server_url(url).build().unwrap());
    assert_hidden(&HttpSource::new(url, SOON).unwrap());
    let config = BaggageRestrictionsConfig { host_port: url.to_owned(), ..Default::default() };
    assert_hidden(&RemoteBaggageRestrictionManager::new("svc", &config).unwrap());
    let config = ThrottlerConfig { host_port: url.to_owned(), ..Default::default() };
    assert_hidden(&RemoteThrottler::new("svc", &config).unwrap());
}

#[cfg(feature = "collector-http")]
#[test]
fn no_debug_of_a_transport_shows_a_secret() {
    use jaeger_client::transport::HttpTransport;
    let config = HttpConfig {
        user: Some("ann".to_owned()),
        password: secret(),
        headers: vec![("x-key".to_owned(), "s3cret".to_owned())],
        ..HttpConfig::new("http://host:14268/?token=s3cret")
    };
    assert_hidden(&HttpTransport::new(&config).unwrap());
}

#[test]
fn no_error_of_a_configuration_shows_a_secret() {
    type Change = fn(&mut Configuration);
    let cases: [Change; 9] = [
        |c| c.reporter.collector_endpoint = url(),
        |c| c.reporter.collector_endpoint = Some("host/?token=s3cret".to_owned()),
        |c| c.reporter.local_agent_host_port = URL.to_owned(),
        |c| c.reporter.local_agent_host_port = "ann:s3cret@host:6831".to_owned(),
        |c| {
            let reporter = ReporterConfig { auth_token: secret(), ..c.reporter.clone() };
            let endpoint = Some("http://host".to_owned());
            c.reporter =
                ReporterConfig { collector_endpoint: endpoint, password: secret(), ..reporter };
        },
        |c| {
            c.reporter.collector_endpoint = Some("http://host/?token=s3cret".to_owned());
            c.reporter.ca_certificates = secret();
        },
        |c| {
            c.sampler.kind = "remote".to_owned();
            c.sampler.sampling_server_url = URL.to_owned();
        },
        |c| c.sampler.kind = "https://ann:s3cret@host".to_owned(),
        |c| {
            let host_port = URL.to_owned();
            c.throttler = Some(ThrottlerConfig { host_port, ..Default::default() });
        },
    ];
    for (number, change) in cases.into_iter().enumerate() {
        let mut configuration = Configuration::new("svc");
        change(&mut configuration);
        let error = configuration.new_tracer().map(drop).unwrap_err();
        assert!(!error.to_string().contains("s3cret"), "{number}: {error}");
        assert!(!format!("{error:?}").contains("s3cret"), "{number}: {error:?}");
    }
}

/// A server that refuses every request with this status, and repeats all of it in its response.
fn repeating(status: u16) -> String {
    let server = Server::start(move |_, request| {
        let headers = request.headers.iter().map(|(name, value)| format!("{name}: {value}"));
        let head: Vec<_> = std::iter::once(request.line.clone()).chain(headers).collect();
        ServerResponse::Status(status, "", head.join("; ").into())
    });
    server.url()
}

#[cfg(feature = "collector-http")]
#[test]
fn no_log_line_about_a_collector_shows_a_secret() {
    for (url, user, responded) in
        [(repeating(400), true, "400"), (repeating(415), false, "415"), (nobody(), true, "")]
    {
        let config = HttpConfig {
            user: user.then(|| "ann".to_owned()),
            password: secret().filter(|_| user),
            auth_token: secret().filter(|_| !user),
            headers: vec![("x-key".to_owned(), "s3cret".to_owned())],
            retry_limit: Duration::ZERO,
            ..HttpConfig::new(format!("{url}/api/traces?token=s3cret"))
        };
        let log = memory_logger();
        let (tracer, closer) =
            builder().logger(Arc::clone(&log)).collector(config).build().unwrap();
        tracer.start_span("op").finish();
        assert_eq!(closer.close(SOON).stats.dropped.send_failed, 1);
        let lines = log.all().join("\n");
        assert!(lines.contains("/api/traces?token=(hidden)"), "{lines}");
        assert_eq!(lines.contains("responded with"), !responded.is_empty(), "{lines}");
        assert_eq!(lines.contains("OTLP"), responded == "415", "{lines}");
        // The password as it is, and as basic authentication has it.
        assert!(!lines.contains("s3cret") && !lines.contains("YW5uOnMzY3JldA"), "{lines}");
    }
}

#[cfg(feature = "remote-sampler")]
#[test]
fn no_log_line_or_status_of_a_poller_shows_a_secret() {
    let log = memory_logger();
    let url = repeating(404);
    let host_port = format!("{url}?token=s3cret&x=");
    let configuration = Configuration {
        sampler: SamplerConfig {
            sampling_server_url: format!("{url}/sampling?token=s3cret"),
            ..SamplerConfig::new("remote")
        },
        baggage_restrictions: Some(BaggageRestrictionsConfig {
            host_port: host_port.clone(),
            ..Default::default()
        }),
        throttler: Some(ThrottlerConfig {
            host_port,
            synchronous_initialization: true,
            ..Default::default()
        }),
        ..Configuration::new("svc")
    };
    let logger = Arc::clone(&log);
    let (tracer, closer) =
        configuration.new_tracer_with(|builder| builder.logger(logger).null_reporter()).unwrap();
    tracer.start_span("op").set_tag("sampling.priority", 1).finish();
    eventually(|| {
        log.has("sampling") && log.has("baggage restrictions") && log.has("debugging credits")
    });
    let status = tracer.sampler_status();
    let lines = log.all().join("\n");
    let updates = (tracer.baggage_restriction_updates(), tracer.debug_throttler_updates());
    for shown in [lines, format!("{status} {status:?}"), format!("{updates:?}")] {
        assert!(!shown.contains("s3cret") && shown.contains("(hidden)"), "{shown}");
    }
    let _ = closer.close(SOON);
}
