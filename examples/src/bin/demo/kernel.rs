//! What the kernel says of its own connections.

use carrick::TcpState;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr};

/// The state of the only connection at that IPv4 address and port, or of whoever listens there.
pub(crate) fn state(local: SocketAddr) -> io::Result<TcpState> {
    Ok(find(&fs::read_to_string("/proc/net/tcp")?, local))
}

/// A connection comes before the listener that it belongs to.
fn find(table: &str, local: SocketAddr) -> TcpState {
    let IpAddr::V4(address) = local.ip() else { return TcpState::Closed };
    // The address as the machine would print the bytes in memory.
    let local = format!("{:08X}:{:04X}", u32::from_ne_bytes(address.octets()), local.port());
    let mut found = TcpState::Closed;
    for row in table.lines().skip(1) {
        let mut fields = row.split_ascii_whitespace().skip(1);
        let (Some(here), Some(_), Some(code)) = (fields.next(), fields.next(), fields.next()) else {
            continue;
        };
        if here == local {
            match code {
                "01" => return TcpState::Established,
                "02" => return TcpState::SynSent,
                "03" | "0C" => return TcpState::SynReceived,
                "04" => return TcpState::FinWait1,
                "05" => return TcpState::FinWait2,
                "06" => return TcpState::TimeWait,
                "08" => return TcpState::CloseWait,
                "09" => return TcpState::LastAck,
                "0A" => found = TcpState::Listen,
                "0B" => return TcpState::Closing,
                _ => {}
            }
        }
    }
    found
}

/// How many sockets this process may have, after it has asked for all that it can get.
pub(crate) fn sockets() -> u64 {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // Refused or not, what counts is what holds.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_comes_before_its_listener() {
        let head = "  sl  local_address rem_address   st tx_queue rx_queue\n";
        let [listener, other, connection] = [
            "0: 010200C0:1F90 00000000:0000 0A",
            "1: 010200C0:1F91 020200C0:0400 04",
            "2: 010200C0:1F90 020200C0:0400 03",
        ];
        let state = |rows: &[&str]| {
            let table = format!("{head}{}\n", rows.join(" 00000000:00000000\n"));
            find(&table, "192.0.2.1:8080".parse().expect("an address"))
        };
        assert_eq!(state(&[]), TcpState::Closed);
        assert_eq!(state(&[other]), TcpState::Closed);
        #[cfg(target_endian = "little")]
        {
            assert_eq!(state(&[listener, other]), TcpState::Listen);
            assert_eq!(state(&[listener, other, connection]), TcpState::SynReceived);
        }
    }
}
