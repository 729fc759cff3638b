//! Bugs that there were: each module opens with what was seen, and plays what showed it.

#[path = "../endpoint_floods/support.rs"]
#[allow(dead_code, reason = "shared with the tests of floods, which use all of it")]
mod support;

mod acks_of_filled_holes;
mod burst_after_a_pause;
mod cookie_and_record;
mod cookies_without_time_wait;
mod cork_and_probes;
mod covering_text_memory;
mod digest_of_records;
mod duplicate_acks_after_the_hole;
mod duplicate_acks_of_a_super_segment;
mod echo_of_a_block;
mod echo_of_nothing;
mod end_of_time;
mod few_syn_retries;
mod fin_behind_a_hole;
mod fin_below_kept_text;
mod full_reply_queue;
mod half_open_window;
mod islands_joined;
mod looking_at_packets;
mod no_room_at_all;
mod overtaken_by_a_repetition;
mod parked_and_late;
mod parked_and_taken_back;
mod patience_without_waiting;
mod pointer_of_empty_segments;
mod probe_that_was_overtaken;
mod probes_beside_forged_segments;
mod record_before_the_last_ack;
mod records_look_like_connections;
mod repeated_syn_ack;
mod reports_for_strangers;
mod reset_behind_a_fin;
mod resets_of_a_listener;
mod reuse_without_timestamps;
mod room_behind_a_range;
mod simultaneous_open_measures_nothing;
mod time_wait_lost_to_a_refused_syn;
mod timestamp_of_an_old_segment;
mod unfinished_udp;
mod update_with_the_number_of_a_probe;
mod window_of_nothing;
mod window_of_repeated_text;
mod work_of_one_call;
