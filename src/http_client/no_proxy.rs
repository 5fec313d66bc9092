//! The hosts that are reached without a proxy, by the rules of Go's `httpproxy`.

use std::net::IpAddr;

/// The hosts that are reached without a proxy.
#[derive(Debug, Default)]
pub(super) struct Bypass {
    rules: Vec<Rule>,
}

#[derive(Debug, PartialEq, Eq)]
enum Rule {
    All,
    Range {
        network: IpAddr,
        prefix: u32,
    },
    Address(IpAddr, Option<u16>),
    /// `suffix` begins with a dot; the host itself counts unless only those below it do.
    Domain {
        suffix: String,
        has_apex: bool,
        port: Option<u16>,
    },
}

impl Bypass {
    /// Parses a list in the form of `NO_PROXY`. Invalid entries are ignored, as in Go and curl.
    pub(super) fn parse(list: &str) -> Self {
        Self { rules: list.split(',').filter_map(Rule::parse).collect() }
    }

    /// Returns whether requests to that host and port use no proxy.
    pub(super) fn covers(&self, host: &str, port: u16) -> bool {
        let host = host.to_ascii_lowercase();
        let address = host.parse::<IpAddr>().ok().map(|address| address.to_canonical());
        if host == "localhost" || address.is_some_and(|address| address.is_loopback()) {
            return true;
        }
        self.rules.iter().any(|rule| rule.covers(&host, address, port))
    }
}

impl Rule {
    fn parse(entry: &str) -> Option<Self> {
        let entry = entry.trim().to_ascii_lowercase();
        if entry == "*" {
            return Some(Self::All);
        }
        if let Some((network, prefix)) = entry.split_once('/') {
            let network: IpAddr = network.parse().ok()?;
            let prefix = prefix.parse().ok().filter(|prefix| *prefix <= bits(network).1)?;
            return Some(Self::Range { network, prefix });
        }
        let bare = |host: &str| {
            let host =
                host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
            host.parse::<IpAddr>().ok().map(|address| address.to_canonical())
        };
        if let Some(address) = bare(&entry) {
            return Some(Self::Address(address, None));
        }
        let (host, port) = match entry.rsplit_once(':') {
            Some((host, port)) => (host, Some(port.parse().ok()?)),
            None => (entry.as_str(), None),
        };
        if let Some(address) = bare(host) {
            return Some(Self::Address(address, port));
        }
        let host = host.strip_prefix('*').unwrap_or(host);
        let (name, has_apex) = match host.strip_prefix('.') {
            Some(name) => (name, false),
            None => (host, true),
        };
        let suffix = format!(".{name}");
        (!name.is_empty()).then_some(Self::Domain { suffix, has_apex, port })
    }

    fn covers(&self, host: &str, address: Option<IpAddr>, port: u16) -> bool {
        match self {
            Self::All => true,
            Self::Range { network, prefix } => address.is_some_and(|address| {
                let ((network, width), (address, own_width)) = (bits(*network), bits(address));
                let shift = width - prefix;
                width == own_width && network.checked_shr(shift) == address.checked_shr(shift)
            }),
            Self::Address(own, own_port) => {
                address == Some(*own) && own_port.is_none_or(|own| own == port)
            }
            Self::Domain { suffix, has_apex, port: own_port } => {
                let is_host = host.ends_with(suffix) || (*has_apex && *host == suffix[1..]);
                is_host && own_port.is_none_or(|own| own == port)
            }
        }
    }
}

/// Returns an address as a number, and its length in bits.
fn bits(address: IpAddr) -> (u128, u32) {
    match address.to_canonical() {
        IpAddr::V4(address) => (address.to_bits().into(), 32),
        IpAddr::V6(address) => (address.to_bits(), 128),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_go_without_a_proxy_as_in_go() {
        type Hosts = &'static [(&'static str, u16)];
        let cases: [(&str, Hosts, Hosts); 10] = [
            (
                "",
                &[("localhost", 1), ("127.9.9.9", 1), ("::1", 1), ("::ffff:127.0.0.1", 1)],
                &[("a", 1)],
            ),
            ("*", &[("a", 1), ("10.0.0.1", 1)], &[]),
            ("a.com", &[("a.com", 1), ("A.COM", 2), ("x.a.com", 1)], &[("ba.com", 1), ("com", 1)]),
            (".a.com", &[("x.a.com", 1)], &[("a.com", 1), ("xa.com", 1)]),
            ("*.a.com", &[("x.a.com", 1)], &[("a.com", 1)]),
            ("a.com:80, B.com", &[("a.com", 80), ("x.a.com", 80), ("b.com", 9)], &[("a.com", 81)]),
            ("10.1.2.3,::2", &[("10.1.2.3", 1), ("::2", 9)], &[("10.1.2.4", 1), ("::3", 1)]),
            (
                "10.1.2.3:80,[::2]:80",
                &[("10.1.2.3", 80), ("::2", 80)],
                &[("10.1.2.3", 1), ("::2", 1)],
            ),
            (
                "10.0.0.0/8,fd00::/8",
                &[("10.255.0.1", 1), ("fd12::1", 1), ("::ffff:10.1.1.1", 1)],
                &[("11.0.0.1", 1), ("fe00::1", 1), ("10.a.com", 1)],
            ),
            ("0.0.0.0/0,::/0", &[("8.8.8.8", 1), ("2001::1", 1)], &[("a.com", 1)]),
        ];
        for (list, without, through) in cases {
            let bypass = Bypass::parse(list);
            for (host, port) in without {
                assert!(bypass.covers(host, *port), "{list:?} {host}:{port}");
            }
            for (host, port) in through {
                assert!(!bypass.covers(host, *port), "{list:?} {host}:{port}");
            }
        }
    }

    #[test]
    fn what_is_no_rule_is_left_out() {
        for list in
            [" , ,", "10.0.0.0/33", "::/129", "x/8", "a:b", "a:70000", ".", "*.", "10.0.0.0/-1"]
        {
            assert_eq!(Bypass::parse(list).rules, [], "{list}");
        }
    }

    proptest::proptest! {
        #[test]
        fn law_any_list_and_host_are_compared(list: String, host: String, port: u16) {
            let _ = Bypass::parse(&list).covers(&host, port);
        }
    }
}
