//! Sequence numbers, windows, scales and segment sizes.

use carrick_covers::covers;
use carrick_wire::{Mss, SeqNum, UserTimeout, Window, WindowScale, WireWindow};

/// An 8-bit number in the 32-bit space: distances keep their sign, and 128 becomes exactly half the circle.
fn twin(value: u8) -> SeqNum {
    SeqNum::new(u32::from(value) << 24)
}

#[test]
fn t_seq_2_comparisons_are_total_on_an_8_bit_twin() {
    for a in 0..=255u8 {
        for b in 0..=255u8 {
            let distance = a.wrapping_sub(b).cast_signed();
            let (x, y) = (twin(a), twin(b));
            assert_eq!(x.before(y), distance < 0);
            assert_eq!(x.after(y), distance > 0);
            // Exactly one of three holds, and the inclusive tests are their negations.
            let outcomes = [x.before(y), x == y, x.after(y)];
            assert_eq!(outcomes.iter().filter(|outcome| **outcome).count(), 1, "{a} {b}");
            assert_eq!(x.at_or_before(y), !x.after(y));
            assert_eq!(x.at_or_after(y), !x.before(y));
            if distance == i8::MIN {
                assert!(x.before(y) && y.before(x), "half the circle is never newer");
                assert_eq!((x.max(y), x.min(y)), (y, x));
            } else {
                assert_eq!(x.before(y), y.after(x));
                assert_eq!(x.max(y), y.max(x));
                assert_eq!(x.min(y), y.min(x));
            }
            assert_eq!((x - y) >> 24, i32::from(distance));
            assert_eq!(x.distance_from(y), u32::from(a.wrapping_sub(b)) << 24);
            // Moving both along the circle changes nothing.
            for by in [1, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff] {
                assert_eq!((x + by).before(y + by), x.before(y));
                assert_eq!((x - by).after(y - by), x.after(y));
            }
        }
    }
    covers!("T-SEQ-2");
}

#[test]
fn t_seq_2_windows_are_exact_on_an_8_bit_twin() {
    for start in [0, 1, 127, 128, 200, 255u8] {
        for len in 0..=255u8 {
            for value in 0..=255u8 {
                let expected = (0..len).any(|step| start.wrapping_add(step) == value);
                assert_eq!(twin(value).in_window(twin(start), u32::from(len) << 24), expected);
            }
        }
    }
    assert!(!SeqNum::new(5).in_window(SeqNum::new(5), 0));
    assert!(SeqNum::new(4).in_window(SeqNum::new(6), u32::MAX));
    assert!(!SeqNum::new(4).in_window(SeqNum::new(6), u32::MAX - 1));
    covers!("T-SEQ-2");
}

#[test]
fn t_seq_1_wrap() {
    let mut n = SeqNum::new(u32::MAX);
    n += 2;
    assert_eq!((n.get(), n - SeqNum::new(u32::MAX), n - 2), (1, 2, SeqNum::new(u32::MAX)));
    assert!(n.after(SeqNum::new(u32::MAX)));
    assert_eq!((format!("{n}"), format!("{n:?}")), ("1".into(), "SeqNum(1)".into()));
}

#[test]
fn t_mal_10_ws_2_scale_above_14_is_used_as_14() {
    for shift in 0..=255u8 {
        assert_eq!(WindowScale::clamped(shift).get(), shift.min(14));
        assert_eq!(WindowScale::new(shift).is_some(), shift <= 14);
    }
}

#[test]
fn t_ccx_8_ws_4_windows_scale_both_ways() {
    for shift in 0..=14u8 {
        let scale = WindowScale::new(shift).unwrap();
        for wire in 0..=u16::MAX {
            let window = WireWindow::new(wire).scaled(scale);
            assert_eq!(window.get(), u32::from(wire) << shift);
            assert_eq!(window.to_wire(scale).get(), wire);
        }
        // Rounding goes down: what is announced is never more than what there is.
        for bytes in [0, 1, 0xffff, 0x10000, 0x12345, (1 << 30) - 1, 1 << 30, u32::MAX] {
            let window = Window::new(bytes);
            assert_eq!(window.get(), bytes.min((1 << 30) - 1));
            let announced = window.to_wire(scale).scaled(scale);
            assert!(announced <= window);
            assert!(window.get() - announced.get() < 1 << shift || window.to_wire(scale).get() == u16::MAX);
        }
    }
}

#[test]
fn t_mal_9_mss_has_a_floor() {
    for mss in 0..=u16::MAX {
        assert_eq!(Mss::clamped(mss).get(), mss.max(88));
    }
    assert_eq!((Mss::DEFAULT_V4.get(), Mss::DEFAULT_V6.get()), (536, 1220));
    assert!(usize::from(Mss::FLOOR) > carrick_wire::MAX_OPTIONS_LEN);
}

#[test]
fn utopt_1_utopt_2_user_timeout_codec() {
    let table = [
        (1, Some(1), 0x0001),
        (300, Some(300), 300),
        (32_767, Some(32_767), 0x7fff),
        (32_768, Some(32_820), 0x8000 | 547),
        (36_000, Some(36_000), 0x8000 | 600),
        (1_966_020, Some(1_966_020), 0xffff),
        (u32::MAX, Some(1_966_020), 0xffff),
    ];
    for (seconds, back, raw) in table {
        let timeout = UserTimeout::from_seconds(seconds).unwrap();
        assert_eq!((Some(timeout.seconds()), timeout.raw()), (back, raw));
    }
    assert_eq!(UserTimeout::from_seconds(0), None);
    for raw in 0..=u16::MAX {
        match UserTimeout::from_raw(raw) {
            None => assert!(raw == 0 || raw == 0x8000),
            Some(timeout) => {
                assert_eq!(timeout.raw(), raw);
                let again = UserTimeout::from_seconds(timeout.seconds()).unwrap();
                assert_eq!(again.seconds(), timeout.seconds());
            }
        }
    }
}
