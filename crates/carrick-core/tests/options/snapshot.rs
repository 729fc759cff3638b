//! Pages that a test writes and somebody has read through.

/// Compares a page with the one that was read. With `CARRICK_WRITE_SNAPSHOTS` set it is written instead, to be read.
///
/// # Panics
/// If they differ, at the first line that does.
#[track_caller]
pub(crate) fn check(name: &str, read: &str, page: &str) {
    if std::env::var_os("CARRICK_WRITE_SNAPSHOTS").is_some() {
        let path = format!("{}/tests/options/{name}", env!("CARGO_MANIFEST_DIR"));
        std::fs::write(path, page).expect("the page can be written");
        return;
    }
    for (n, (read, now)) in read.lines().zip(page.lines()).enumerate() {
        assert_eq!(now, read, "{name}, line {}", n + 1);
    }
    assert_eq!(page.lines().count(), read.lines().count(), "{name} has another number of lines");
}
