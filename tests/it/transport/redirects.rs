//! Where redirects lead to, and what goes there.

#![cfg(feature = "collector-http")]

use crate::support::binary;
use crate::support::http::{Server, redirect, send_one, status};
use jaeger_client::HttpConfig;

#[test]
fn a_redirect_that_keeps_the_body_is_followed_to_the_same_origin() {
    for code in [307, 308] {
        let server = Server::start(move |_, request| match request.line.contains(" /new") {
            true => status(202),
            false => redirect(code, "/new?x=1"),
        });
        let config =
            HttpConfig { auth_token: Some("t0ken".into()), ..HttpConfig::new(server.url()) };
        let (report, _) = send_one(config);
        assert_eq!((report.stats.sent, report.stats.possible_duplicates), (1, 0));
        let [first, second] = &server.requests()[..] else { panic!("{:?}", server.requests()) };
        assert_eq!(second.line, "POST /new?x=1 HTTP/1.1");
        assert_eq!(binary::body_names(&second.body), ["op"]);
        assert_eq!(first.body, second.body);
        for header in ["authorization", "content-type"] {
            assert_eq!(first.header(header), second.header(header));
        }
    }
}

#[test]
fn other_redirects_are_errors_that_name_the_target_and_carry_no_credentials_there() {
    let other = Server::start(|_, _| status(202));
    let away = format!("http://ann:hush@127.0.0.1:{}/in?token=hush", other.port());
    let same = "/somewhere?token=hush";
    for (code, to, shown) in [
        (301, same, "a redirect to /somewhere?token=(hidden) that is not followed"),
        (302, same, "a redirect to /somewhere?token=(hidden) that is not followed"),
        (303, same, "a redirect to /somewhere?token=(hidden) that is not followed"),
        (307, &*away, &*format!("(hidden)@127.0.0.1:{}/in", other.port())),
        (308, &*away.replace("ann:hush@", ""), &*format!("127.0.0.1:{}/in", other.port())),
        (308, "//other.invalid/", "//other.invalid/"),
        (307, "ftp://127.0.0.1/", "ftp://127.0.0.1/"),
        (307, "http://[::1", "http://[::1"),
        (308, "/a b", "/a b"),
    ] {
        let target = to.to_owned();
        let server = Server::start(move |_, _| redirect(code, &target));
        let config =
            HttpConfig { auth_token: Some("t0ken".into()), ..HttpConfig::new(server.url()) };
        let (report, logger) = send_one(config);
        assert_eq!(report.stats.dropped.send_failed, 1, "{code} {to}");
        assert_eq!(server.requests().len(), 1, "{code} {to}");
        assert!(
            logger.has(&format!("responded with {code}")) && logger.has(shown),
            "{:?}",
            logger.all()
        );
        assert!(!logger.has("hush"), "{:?}", logger.all());
    }
    assert!(other.requests().is_empty());
}

#[test]
fn redirects_without_end_or_without_a_target_end_soon() {
    let server = Server::start(|_, _| redirect(307, "/again"));
    let (report, logger) = send_one(HttpConfig::new(server.url()));
    assert_eq!(report.stats.dropped.send_failed, 1);
    assert_eq!(server.requests().len(), 4);
    assert!(logger.has("a redirect to /again"), "{:?}", logger.all());
    let server = Server::start(|_, _| status(308));
    let (report, logger) = send_one(HttpConfig::new(server.url()));
    assert_eq!((report.stats.dropped.send_failed, server.requests().len()), (1, 1));
    assert!(logger.has("responded with 308"), "{:?}", logger.all());
}
