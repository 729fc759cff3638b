/// Whether somebody has verified a packet's checksums already.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Checksum {
    /// The device vouches for them (it checked, or the packet never left memory).
    Verified,
    /// Nobody knows: verify.
    #[default]
    Unknown,
}
