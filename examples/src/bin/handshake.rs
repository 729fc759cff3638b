//! Plays TCP's best known conversations between two real endpoints in virtual time, and draws them as ladders with
//! both sides' states: the handshake and the four-way close, a half-close, a simultaneous close and open, an
//! abort.
//!
//! ```sh
//! cargo run -p carrick-examples --bin handshake
//! ```

fn main() {
    print!("{}", carrick_examples::ladder::all());
}
