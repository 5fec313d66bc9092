//! The process in each batch: the service's name and tags.

use std::borrow::Cow;
use std::ffi::OsString;
use std::net::IpAddr;

use crate::encoding::{List, ProcessView, TagView, ValueView, put_tag};
use crate::reporter::MIN_SPAN_ROOM;
use crate::span::{OwnedTagValue, SpanOptions, TagValue, truncate_value};

/// Returns the tag `client-uuid`, which identifies this tracer among others of its service: the
/// application's, or a random one.
pub(super) fn client_uuid(tags: &[(String, OwnedTagValue)], own: u64) -> String {
    match tags.iter().rfind(|(key, _)| key == CLIENT_UUID) {
        Some((_, OwnedTagValue::Str(text))) => text.to_string(),
        Some((_, OwnedTagValue::I64(number))) => number.to_string(),
        Some((_, OwnedTagValue::U64(number))) => number.to_string(),
        _ => format!("{own:x}"),
    }
}

/// Returns the service name as it is sent. Zipkin fails on names with control characters or line
/// breaks, which are replaced.
pub(super) fn service_name(name: &str) -> Cow<'_, str> {
    let is_not_searchable =
        |letter: char| letter.is_control() || matches!(letter, '\u{2028}' | '\u{2029}');
    if !name.contains(is_not_searchable) {
        return Cow::Borrowed(name);
    }
    Cow::Owned(name.replace(is_not_searchable, "\u{fffd}"))
}

/// Returns the process in its compact bytes: the given tags, and the default ones. Values are
/// truncated at the limit, except `client-uuid`, as in jaeger-client-go's
/// `buildJaegerProcessThrift`.
pub(super) fn bytes(
    service: &str,
    tags: &[(String, OwnedTagValue)],
    options: &SpanOptions,
    uuid: &str,
) -> Vec<u8> {
    let (mut bytes, mut count) = (Vec::new(), 0);
    let mut put = |key: &str, value: TagValue<'_>| {
        // A truncated one would no longer identify the tracer.
        let max = if key == CLIENT_UUID { usize::MAX } else { options.max_tag_value_length };
        let short = match value {
            TagValue::Str(text) if text.len() > max => {
                Some(truncate_value(text, max, options.mark_truncated_tags))
            }
            _ => None,
        };
        let value = match &short {
            Some(short) => ValueView::Str(short.as_bytes()),
            None => value.view(max),
        };
        put_tag(&mut bytes, TagView::new(key.as_bytes(), value));
        count += 1;
    };
    let given = |key: &str| tags.iter().any(|(name, _)| name == key);
    for (key, value) in tags {
        let value = value.into();
        if !hides_service(key, value) {
            put(key, value);
        }
    }
    if !given("jaeger.version") {
        put("jaeger.version", TagValue::Str(concat!("Rust-", env!("CARGO_PKG_VERSION"))));
    }
    if let Some(name) = host_name().filter(|_| !given("hostname")) {
        put("hostname", TagValue::Str(&name.to_string_lossy()));
    }
    if let Some(ip) = host_ip().filter(|_| !given("ip")) {
        put("ip", TagValue::Str(&ip.to_string()));
    }
    if !given(CLIENT_UUID) {
        put(CLIENT_UUID, TagValue::Str(uuid));
    }
    ProcessView::new(service.as_bytes(), Some(List::new(count, &bytes))).to_bytes()
}

/// Returns whether a datagram of that size has room for spans beside the process.
pub(crate) fn leaves_room_for_spans(
    service: &str,
    tags: &[(String, OwnedTagValue)],
    options: &SpanOptions,
    max_packet_bytes: usize,
) -> bool {
    let longest_uuid = format!("{:x}", u64::MAX);
    bytes(&service_name(service), tags, &options.clone().resolved(), &longest_uuid).len()
        + MIN_SPAN_ROOM
        <= max_packet_bytes
}

/// Returns whether a tag of the process hides the service's name in a server that stores OTLP:
/// those read the name from this tag, and have none if it is not text.
fn hides_service(key: &str, value: TagValue<'_>) -> bool {
    key == "service.name" && !matches!(value, TagValue::Str(name) if !name.is_empty())
}

#[cfg(unix)]
fn host_name() -> Option<OsString> {
    use std::os::unix::ffi::OsStringExt as _;

    let system = rustix::system::uname();
    Some(OsString::from_vec(system.nodename().to_bytes().to_vec()))
}

#[cfg(not(unix))]
fn host_name() -> Option<OsString> {
    hostname::get().ok()
}

/// Returns the address by which others most likely know this host: IPv4 before IPv6, loopback last.
fn host_ip() -> Option<IpAddr> {
    let interfaces = if_addrs::get_if_addrs().ok()?;
    best_known(interfaces.iter().map(if_addrs::Interface::ip))
}

fn best_known(addresses: impl Iterator<Item = IpAddr>) -> Option<IpAddr> {
    addresses.max_by_key(|ip| 300 * i32::from(ip.is_ipv4()) + 100 * i32::from(!ip.is_loopback()))
}

const CLIENT_UUID: &str = "client-uuid";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_of_a_host_is_ipv4_if_possible_and_no_loopback_address() {
        let best = |addresses: &[&str]| {
            let mut addresses: Vec<IpAddr> =
                addresses.iter().map(|ip| ip.parse().unwrap()).collect();
            let first = best_known(addresses.iter().copied()).unwrap();
            addresses.reverse();
            assert_eq!(best_known(addresses.into_iter()), Some(first), "in any order");
            first.to_string()
        };
        assert_eq!(best(&["::1", "127.0.0.1", "fe80::7", "10.0.0.7"]), "10.0.0.7");
        assert_eq!(best(&["::1", "127.0.0.1", "fe80::7"]), "127.0.0.1");
        assert_eq!(best(&["::1", "fe80::7"]), "fe80::7");
        assert_eq!(best_known(std::iter::empty()), None);
    }
}
