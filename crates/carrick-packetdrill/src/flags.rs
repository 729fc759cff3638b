//! What `--so_flags` says: the addresses, the MTU, the congestion controller.
//!
//! Words of the form `name=value`, parted by spaces: `local=` (addresses with prefix lengths, parted by commas),
//! `mtu=`, `cc=` (`cubic` or `reno`). What is not said is as packetdrill's own runner has it.

use crate::controller::NAMES;
use carrick_core::Cidr;
use std::fmt;

/// What the tool's command line says of the stack.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Flags {
    /// Our addresses. Default `192.168.0.1/16` and `fd3d:a0b:17d6::1/48`.
    pub local: Vec<Cidr>,
    /// Largest packet of the link, in bytes. Default 1,500.
    pub mtu: u16,
    /// The congestion controller that sockets start with, whatever the namespace says. Default: what it says.
    pub congestion: Option<String>,
}

impl Default for Flags {
    fn default() -> Self {
        let v4 = Cidr::new([192, 168, 0, 1].into(), 16);
        let v6 = Cidr::new([0xfd3d, 0x0a0b, 0x17d6, 0, 0, 0, 0, 1].into(), 48);
        Self { local: vec![v4, v6], mtu: 1500, congestion: None }
    }
}

/// A word of the flags that cannot be understood.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BadFlag(String);

impl fmt::Display for BadFlag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "--so_flags: '{}' is none of local=ADDRESS/BITS,... mtu=BYTES cc=cubic cc=reno", self.0)
    }
}

impl std::error::Error for BadFlag {}

impl Flags {
    /// Reads the flags; the empty text gives the defaults.
    ///
    /// # Errors
    /// [`BadFlag`] with the first word that is wrong.
    pub fn parse(text: &str) -> Result<Self, BadFlag> {
        let mut flags = Self::default();
        for word in text.split_whitespace() {
            let bad = || BadFlag(word.to_owned());
            match word.split_once('=').ok_or_else(bad)? {
                ("local", list) => {
                    let list: Result<Vec<Cidr>, _> = list.split(',').map(str::parse).collect();
                    flags.local = list.map_err(|_| bad())?;
                }
                ("mtu", bytes) => {
                    flags.mtu = bytes.parse().ok().filter(|mtu| *mtu >= 576).ok_or_else(bad)?;
                }
                ("cc", name) if NAMES.contains(&name) => flags.congestion = Some(name.to_owned()),
                _ => return Err(bad()),
            }
        }
        Ok(flags)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_read_word_by_word() {
        assert_eq!(Flags::parse(""), Ok(Flags::default()));
        let flags = Flags::parse("local=192.0.2.2/24,2001:db8::2/64 mtu=1520  cc=reno").unwrap();
        assert_eq!(flags.local.len(), 2);
        assert_eq!((flags.mtu, flags.congestion.as_deref()), (1520, Some("reno")));
        for wrong in ["mtu", "mtu=", "mtu=10", "mtu=70000", "cc=", "cc=bbr", "local=", "local=x", "x=1"] {
            let error = Flags::parse(wrong).unwrap_err();
            assert!(error.to_string().contains(wrong), "{error}");
        }
    }
}
