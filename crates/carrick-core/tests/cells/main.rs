//! RFC 9293 §3.10 as a table: 30 events by 11 states, each cell with at least one row that is played on the real core.
//!
//! A row says in which situation what happens, and all that must come of it:
//!
//! ```text
//! event  | situations | steps                | next | reply                 | tells
//! FIN    | F2         | FIN,ACK seq rcv ack nxt | TW | ACK seq nxt ack rcv+1 | readable, rcv+1, eof
//! ```
//!
//! * *Situations* are a state's code (`ES`, `F1` ..) with additions (`ES+out`); [`stage`] lists them. The cell that a
//!   row belongs to is `SA-<event>-<state>`. A row is played in each of its situations, over both IP versions, with and
//!   without timestamps, opened by us and by the peer, and at sequence numbers around the seam.
//! * *Steps* are segments of the peer's and calls of the application, see [`play`].
//! * *Next* is the state afterwards; `=` stays.
//! * *Reply* is every segment that must leave, `-` none; its window (`win`) where that is the point. `CHAL` is an ACK under the throttle: the same input twenty
//!   times over must be answered at least once and at most ten times.
//! * *Tells* is what the application and the endpoint see: results of calls, events, text, the numbers that moved,
//!   the end of the stream, the error, a connection to accept, a TIME-WAIT that begins anew.
//!
//! Numbers are `una`, `nxt`, `rcv`, `edge` as they are before the steps, relative to ISS and IRS, with an offset;
//! `zero` is the number 0 itself.

mod flip;
mod play;
mod row;
mod stage;
mod table;
