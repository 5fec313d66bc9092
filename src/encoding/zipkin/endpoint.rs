//! Zipkin endpoints: addresses in fields that servers check. A list with an invalid address is
//! refused as a whole, so that such a value stays a tag.

// Not from `std`: addresses are values, and this module uses no sockets.
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::encoding::batch::ProcessView;
use crate::encoding::view::{TagView, ValueView};

/// A host, or the peer of a call.
#[derive(Clone, Copy, Default)]
pub(super) struct Endpoint<'a> {
    pub(super) service: &'a [u8],
    pub(super) ipv4: Option<Ipv4Addr>,
    pub(super) ipv6: Option<Ipv6Addr>,
    pub(super) port: Option<u16>,
}

impl<'a> Endpoint<'a> {
    /// Returns the host of a process, whose address is its first `ip` tag.
    pub(super) fn of(process: &ProcessView<'a>) -> Self {
        let mut host = Self { service: process.service_name, ..Self::default() };
        if let Some(ip) = process.tags().find(|tag| tag.key == b"ip") {
            host.take_address(ip.value);
        }
        host
    }

    pub(super) const fn is_known(&self) -> bool {
        !self.service.is_empty()
            || self.ipv4.is_some()
            || self.ipv6.is_some()
            || self.port.is_some()
    }

    /// Takes the tag if it describes the peer of a call. Returns whether it does.
    pub(super) fn take(&mut self, tag: TagView<'a>) -> bool {
        match (tag.key, tag.value) {
            (b"peer.service", ValueView::Str(service)) => self.service = service,
            (b"peer.ipv4" | b"peer.ipv6", value) => return self.take_address(value),
            (b"peer.port", value) => match port(value) {
                Some(port) => self.port = Some(port),
                None => return false,
            },
            _ => return false,
        }
        true
    }

    /// Takes the address of a value. Returns whether there is one.
    fn take_address(&mut self, value: ValueView<'_>) -> bool {
        match address(value) {
            Some(IpAddr::V4(address)) => self.ipv4 = Some(address),
            Some(IpAddr::V6(address)) => self.ipv6 = Some(address),
            None => return false,
        }
        true
    }
}

/// Parses the address of a tag: text, or the number of an IPv4 address. IPv4 addresses that are
/// mapped into IPv6 are unwrapped.
pub(super) fn address(value: ValueView<'_>) -> Option<IpAddr> {
    let address = match value {
        ValueView::Str(b"localhost") => IpAddr::from(Ipv4Addr::LOCALHOST),
        ValueView::Str(text) => str::from_utf8(text).ok()?.parse::<IpAddr>().ok()?.to_canonical(),
        ValueView::Long(number) => {
            let bits = u32::try_from(number);
            let bits = bits.or_else(|_| i32::try_from(number).map(i32::cast_unsigned)).ok()?;
            Ipv4Addr::from_bits(bits).into()
        }
        _ => return None,
    };
    (!address.is_unspecified()).then_some(address)
}

/// Parses the port of a tag.
pub(super) fn port(value: ValueView<'_>) -> Option<u16> {
    let port = match value {
        ValueView::Str(text) => str::from_utf8(text).ok()?.parse().ok()?,
        ValueView::Long(number) => u16::try_from(number).ok()?,
        _ => return None,
    };
    (port != 0).then_some(port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_from_text_and_numbers() {
        let text = |text: &'static str| address(ValueView::Str(text.as_bytes()));
        let shown = |text: &str| text.parse::<IpAddr>().ok();
        for (given, wanted) in [
            ("10.1.2.3", "10.1.2.3"),
            ("localhost", "127.0.0.1"),
            ("2001:DB8::1", "2001:db8::1"),
            ("::1", "::1"),
            ("::ffff:1.2.3.4", "1.2.3.4"),
        ] {
            assert_eq!(text(given), shown(wanted), "{given}");
        }
        assert_eq!(address(ValueView::Long(0x0a01_0203)), shown("10.1.2.3"));
        assert_eq!(address(ValueView::Long(-1)), shown("255.255.255.255"));
        for nonsense in [
            "",
            "10.1.2",
            "10.1.2.3.4",
            "10.1.2.256",
            "10.0.0.1:8080",
            "fe80::1%eth0",
            "[::1]:443",
            "[::1]",
            "a:b",
            "0.0.0.0",
            "::",
            "::ffff:0.0.0.0",
            " 10.1.2.3",
            "example.com",
            "010.1.2.3",
        ] {
            assert_eq!(text(nonsense), None, "{nonsense}");
        }
        for number in [0, 1 << 32, i64::from(i32::MIN) - 1, i64::MIN, i64::MAX] {
            assert_eq!(address(ValueView::Long(number)), None, "{number}");
        }
        for other in [ValueView::Double(1.0), ValueView::Bool(true), ValueView::Binary(b"::1")] {
            assert_eq!(address(other), None);
        }
    }

    #[test]
    fn ports_are_read_from_text_and_numbers() {
        assert_eq!(port(ValueView::Str(b"65535")), Some(65_535));
        assert_eq!(port(ValueView::Long(1)), Some(1));
        for nonsense in ["", "0", "-1", "65536", "80/tcp", "http"] {
            assert_eq!(port(ValueView::Str(nonsense.as_bytes())), None, "{nonsense}");
        }
        for number in [0, -1, 65_536, i64::MIN, i64::MAX] {
            assert_eq!(port(ValueView::Long(number)), None, "{number}");
        }
        assert_eq!(port(ValueView::Bool(true)), None);
    }
}
