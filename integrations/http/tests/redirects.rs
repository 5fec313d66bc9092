//! What goes along with a redirect, and what stays behind.
#![allow(clippy::unwrap_used, reason = "the helpers of tests are tests as well")]

use http::{HeaderMap, HeaderName, Request, header};
use jaeger_client_http::{RequestBody, TracedClient};

mod support;
use support::{Server, hops, tracer};

/// What proves who asks, or whom; all that Go leaves out, too.
const SENSITIVE: [HeaderName; 6] = [
    header::AUTHORIZATION,
    header::COOKIE,
    HeaderName::from_static("cookie2"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::WWW_AUTHENTICATE,
];

/// A URL whose responses lead through these in their order.
fn through(urls: &[String]) -> String {
    let (first, rest) = urls.split_first().unwrap();
    match rest {
        [] => first.clone(),
        _ => format!("{first}/to?{}", through(rest)),
    }
}

fn sensitive(headers: &HeaderMap) -> usize {
    SENSITIVE.iter().filter(|name| headers.contains_key(*name)).count()
}

fn authorized(url: &str) -> Request<RequestBody> {
    let mut request = Request::post(url).body("hello".into()).unwrap();
    for name in &SENSITIVE {
        request.headers_mut().insert(name, "secret".parse().unwrap());
    }
    request.headers_mut().insert(header::CONTENT_TYPE, "text/plain".parse().unwrap());
    request.headers_mut().insert(header::HOST, "shop.test".parse().unwrap());
    request.headers_mut().insert("x-shop", "4711".parse().unwrap());
    request
}

#[tokio::test]
async fn credentials_reach_no_other_origin_and_are_not_restored() {
    let (ours, theirs) = (Server::start().await, Server::start().await);
    let (tracer, reporter, _closer) = tracer();
    let client = TracedClient::new(tracer.clone());
    let [here, there] = [ours.url(""), theirs.url("")];
    let way = [here.clone(), here.clone(), there, format!("{here}/time")];
    let response = client.request(authorized(&through(&way))).send().await.unwrap();
    assert_eq!(response.into_body().read_to_end(99).await.unwrap(), "The time is now");

    let (seen, seen_there) = (ours.seen.lock().clone(), theirs.seen.lock().clone());
    assert_eq!((seen.len(), seen_there.len(), hops(&reporter).len()), (3, 1, 4));
    let in_order = [&seen[0], &seen[1], &seen_there[0], &seen[2]];
    for ((requested, retained), hop) in
        in_order.iter().zip([true, true, false, false]).zip(hops(&reporter))
    {
        let (_, url, headers, body) = requested;
        assert_eq!(sensitive(headers), if retained { SENSITIVE.len() } else { 0 }, "{url}");
        assert_eq!(headers[header::HOST] == "shop.test", retained, "{url}");
        // The rest goes along: 307 keeps the body and what tells of it.
        assert_eq!((&headers["x-shop"], &body[..]), (&"4711".parse().unwrap(), &b"hello"[..]));
        assert_eq!(headers[header::CONTENT_TYPE], "text/plain");
        assert_eq!(headers.get_all("uber-trace-id").iter().count(), 1, "one context a hop");
        let context = tracer.extract(headers).unwrap();
        assert_eq!(context.span_id(), hop.view().span_id, "{url}");
    }
}

#[tokio::test]
async fn another_name_of_the_same_server_is_another_origin() {
    let server = Server::start().await;
    let client = TracedClient::new(tracer().0);
    let other_name = format!("http://127.0.0.1:{}/time", server.port());
    let url = through(&[server.url(""), other_name]);
    client.request(authorized(&url)).send().await.unwrap();
    let seen = server.seen.lock().clone();
    let retained: Vec<_> = seen.iter().map(|(_, _, headers, _)| sensitive(headers)).collect();
    assert_eq!(retained, [SENSITIVE.len(), 0]);
}

#[tokio::test]
async fn a_redirect_that_takes_the_body_away_takes_its_headers() {
    let server = Server::start().await;
    let client = TracedClient::new(tracer().0);
    client.request(authorized(&server.url("/see-other"))).send().await.unwrap();
    let seen = server.seen.lock().clone();
    let (method, _, headers, body) = &seen[1];
    assert_eq!((method.as_str(), &body[..]), ("GET", &b""[..]));
    assert!(!headers.contains_key(header::CONTENT_TYPE));
    assert!(!headers.contains_key(header::CONTENT_LENGTH));
    assert_eq!(sensitive(headers), SENSITIVE.len());
}
