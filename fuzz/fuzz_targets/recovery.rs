#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    carrick_fuzz::recovery::run(data);
});
