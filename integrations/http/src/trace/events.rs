//! The events of a connection that is made, as logs of a span with the names and keys of Go's
//! `nethttp`.

use std::net::{IpAddr, SocketAddr};

use jaeger_client::{Span, TagValue};

/// The form in which Go's wrapper logs errors: the event is in `message`.
pub(crate) const ERROR: (&str, TagValue<'static>) = ("event", TagValue::Str("error"));

pub(crate) fn dns_start(span: &Span, host: &str) {
    span.log(&[("event", "DNSStart".into()), ("host", host.into())]);
}

/// The addresses, or the text of the error.
pub(crate) fn dns_done(span: &Span, addresses: Result<&[IpAddr], &str>) {
    let mut fields = vec![("event", TagValue::Str("DNSDone"))];
    match addresses {
        Ok(addresses) => {
            let values: Vec<String> = addresses.iter().map(ToString::to_string).collect();
            fields.extend(values.iter().map(|value| ("addr", value.into())));
            span.log(&fields);
        }
        Err(error) => {
            fields.push(("error.object", error.into()));
            span.log(&fields);
        }
    }
}

/// Without an address, if it is not known which one is tried.
pub(crate) fn connect_start(span: &Span, network: &str, address: Option<SocketAddr>) {
    let address = address.map(|address| address.to_string());
    let mut fields = vec![("event", "ConnectStart".into()), ("network", network.into())];
    fields.extend(address.iter().map(|address| ("addr", address.into())));
    span.log(&fields);
}

pub(crate) fn connect_done(
    span: &Span,
    network: &str,
    address: Option<SocketAddr>,
    error: Option<&str>,
) {
    let address = address.map(|address| address.to_string());
    let name = if error.is_some() { "message" } else { "event" };
    let mut fields = vec![(name, "ConnectDone".into()), ("network", network.into())];
    fields.extend(address.iter().map(|address| ("addr", address.into())));
    if let Some(error) = error {
        fields.extend([ERROR, ("error.object", error.into())]);
    }
    span.log(&fields);
}

pub(crate) fn tls_handshake_failed(span: &Span, error: &str) {
    let message = ("message", "TLSHandshakeDone".into());
    span.log(&[message, ERROR, ("error.object", error.into())]);
}
