//! The state of a socket from Linux's `/proc/net/udp` and `udp6`: for systems where netlink is
//! missing, or forbidden.

use std::fs::{self, File};
use std::io::Read as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::queue_state::{QueueState, ReceiveQueue, USUAL_BUFFER};

#[derive(Debug)]
pub(super) struct ProcNet {
    from: SocketAddr,
    to: SocketAddr,
    capacity: usize,
}

impl ProcNet {
    /// Makes a reader of the socket that receives datagrams from one address to another.
    pub(super) fn new(from: SocketAddr, to: SocketAddr) -> Self {
        // The list has no buffer sizes: the default is assumed.
        let default = fs::read_to_string("/proc/sys/net/core/rmem_default");
        let default = default.ok().and_then(|text| text.trim().parse().ok());
        Self { from, to, capacity: default.unwrap_or(USUAL_BUFFER) }
    }
}

impl ReceiveQueue for ProcNet {
    fn read(&mut self) -> Option<QueueState> {
        let of_v4 = match self.to.ip() {
            IpAddr::V4(_) => best(&table("/proc/net/udp")?, self.from, self.to),
            IpAddr::V6(_) => None,
        };
        // A socket of IPv6 may receive datagrams of IPv4 too.
        let best = of_v4.or_else(|| best(&table("/proc/net/udp6")?, self.from, self.to))?;
        Some(QueueState { capacity: self.capacity, ..best })
    }
}

/// Returns a whole list, unless it is too long to be read each time.
fn table(path: &str) -> Option<String> {
    let mut text = String::new();
    File::open(path).ok()?.take(MAX_TABLE_BYTES + 1).read_to_string(&mut text).ok()?;
    (text.len() as u64 <= MAX_TABLE_BYTES).then_some(text)
}

/// Returns the socket of a list that receives the datagrams, as the kernel chooses: connected
/// before unconnected, bound to the address before any. If several share the port, each may receive
/// them: the longest queue counts.
fn best(table: &str, from: SocketAddr, to: SocketAddr) -> Option<QueueState> {
    let fitting = table.lines().skip(1).filter_map(|line| {
        let line = Line::parse(line)?;
        Some((line.fit(from, to)?, line.state))
    });
    let best = fitting.reduce(|(best, state), (fit, other)| match fit.cmp(&best) {
        std::cmp::Ordering::Greater => (fit, other),
        std::cmp::Ordering::Less => (best, state),
        std::cmp::Ordering::Equal => {
            let both = QueueState {
                socket: state.socket.wrapping_add(other.socket),
                used: state.used.max(other.used),
                capacity: 0,
                drops: state.drops.wrapping_add(other.drops),
            };
            (best, both)
        }
    });
    best.map(|(_, state)| state)
}

struct Line {
    local: SocketAddr,
    remote: SocketAddr,
    state: QueueState,
}

impl Line {
    fn parse(line: &str) -> Option<Self> {
        let mut fields = line.split_ascii_whitespace();
        let (local, remote) = (address(fields.nth(1)?)?, address(fields.next()?)?);
        let used = fields.nth(1)?.split_once(':')?.1;
        let state = QueueState {
            socket: fields.nth(4)?.parse().ok()?,
            used: usize::from_str_radix(used, 16).ok()?,
            capacity: 0,
            drops: fields.nth(2)?.parse().ok()?,
        };
        Some(Self { local, remote, state })
    }

    /// Returns how specific the match is, or `None` if the socket does not receive the datagrams.
    fn fit(&self, from: SocketAddr, to: SocketAddr) -> Option<u8> {
        let is_connected = match self.remote {
            remote if remote == from => true,
            remote if remote.port() == 0 => false,
            _ => return None,
        };
        let is_bound = match self.local {
            local if local == to => true,
            local if local.port() == to.port() && local.ip().is_unspecified() => false,
            _ => return None,
        };
        Some(2 * u8::from(is_connected) + u8::from(is_bound))
    }
}

/// Parses an address and port in hexadecimal digits; the address is made of 32-bit numbers in
/// memory order.
fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let word = |at: usize| {
        let digits = ip.get(8 * at..)?.get(..8)?;
        Some(u32::from_str_radix(digits, 16).ok()?.to_ne_bytes())
    };
    let ip: IpAddr = if ip.len() == 8 {
        Ipv4Addr::from(word(0)?).into()
    } else {
        let mut bytes = [0; 16];
        for (at, four) in bytes.chunks_exact_mut(4).enumerate() {
            four.copy_from_slice(&word(at)?);
        }
        Ipv6Addr::from(bytes).to_canonical()
    };
    Some(SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?))
}

/// The maximum length of a list: about a thousand sockets.
const MAX_TABLE_BYTES: u64 = 128 << 10;

#[cfg(target_endian = "little")]
#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TABLE: &str = "\
   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
  101: 00000000:1AAF 00000000:0000 07 00000000:00000A00 00:00000000 00000000     0        0 1001 2 0000000000000000 1
  102: 0100007F:1AAF 00000000:0000 07 00000000:00000B00 00:00000000 00000000     0        0 1002 2 0000000000000000 2
  103: 0100007F:1AAF 0100007F:0FA0 07 00000000:00000C00 00:00000000 00000000     0        0 1003 2 0000000000000000 3
  104: 0100007F:1AAF 0100007F:0FA1 07 00000000:00000D00 00:00000000 00000000     0        0 1004 2 0000000000000000 4
  105: 0200007F:1AAF 00000000:0000 07 00000000:00000E00 00:00000000 00000000     0        0 1005 2 0000000000000000 5
  106: 00000000:1AB0 00000000:0000 07 00000000:00000F00 00:00000000 00000000     0        0 1006 2 0000000000000000 6
  107: 00000000:1AB0 00000000:0000 07 00000000:00000100 00:00000000 00000000     0        0 1007 2 0000000000000000 7
";

    const TABLE6: &str = "\
  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
  201: 00000000000000000000000000000000:1AAF 00000000000000000000000000000000:0000 07 00000000:00000A00 00:00000000 00000000     0        0 2001 2 0000000000000000 1
  202: 00000000000000000000000001000000:1AAF 00000000000000000000000000000000:0000 07 00000000:00000B00 00:00000000 00000000     0        0 2002 2 0000000000000000 2
  203: 0000000000000000FFFF00000200007F:1AAF 00000000000000000000000000000000:0000 07 00000000:00000C00 00:00000000 00000000     0        0 2003 2 0000000000000000 3
";

    fn found(table: &str, from: &str, to: &str) -> Option<(u64, usize, u32)> {
        let best = best(table, from.parse().unwrap(), to.parse().unwrap())?;
        Some((best.socket, best.used, best.drops))
    }

    #[test]
    fn the_socket_that_gets_the_datagrams_is_chosen_as_the_kernel_does() {
        let from = "127.0.0.1:4002";
        assert_eq!(found(TABLE, "127.0.0.1:4000", "127.0.0.1:6831"), Some((1003, 0xc00, 3)));
        assert_eq!(found(TABLE, from, "127.0.0.1:6831"), Some((1002, 0xb00, 2)));
        assert_eq!(found(TABLE, from, "127.0.0.3:6831"), Some((1001, 0xa00, 1)));
        assert_eq!(found(TABLE, from, "127.0.0.1:6832"), Some((2013, 0xf00, 13)), "either of two");
        assert_eq!(found(TABLE, from, "127.0.0.1:6833"), None);
        assert_eq!(found(TABLE6, "[::1]:4000", "[::1]:6831"), Some((2002, 0xb00, 2)));
        assert_eq!(found(TABLE6, "[::1]:4000", "[fd00::1]:6831"), Some((2001, 0xa00, 1)));
        assert_eq!(found(TABLE6, from, "127.0.0.1:6831"), Some((2001, 0xa00, 1)));
        assert_eq!(found(TABLE6, from, "127.0.0.2:6831"), Some((2003, 0xc00, 3)));
    }

    proptest! {
        #[test]
        fn law_any_text_is_read_without_harm(text: String, at in 0..TABLE.len(), to in "\\PC") {
            let _ = found(&text, "127.0.0.1:4000", "127.0.0.1:6831");
            let mut table = TABLE.to_owned();
            table.replace_range(at..=at, &to);
            let _ = found(&table, "127.0.0.1:4000", "127.0.0.1:6831");
            let _ = found(&table[..at], "127.0.0.1:4000", "127.0.0.1:6831");
        }
    }
}
