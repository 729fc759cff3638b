//! What lies below TCP: headers, fragments, ICMP, path MTU (RFC 791, RFC 1122 §3, RFC 8200, RFC 4443, RFC 1191,
//! RFC 8201, RFC 5927).

mod common;
mod corpus;
mod edges;
mod errors;
mod fragments;
mod headers;
mod icmp;
mod mtu;
mod paths;
