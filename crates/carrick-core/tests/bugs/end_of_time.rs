//! Seen: at the last nanosecond that the clock can say, timers that did not run counted as expired, since "never" is the
//! same number; an idle connection was ended by the limit on FIN-WAIT-2, which it was not in.

use carrick_core::{Cx, Instant};
use carrick_sim::{Scene, TcpState};

#[test]
fn t_tim_4_at_the_end_of_time_a_timer_that_does_not_run_does_not_expire() {
    let s = Scene::established();
    let mut connection = s.connection().cloned().expect("it is established");
    connection.handle_timeout(&Cx::new(Instant::NEVER));
    assert_eq!(connection.state(), TcpState::Established);
    assert_eq!(connection.poll_timeout(), None);
}
