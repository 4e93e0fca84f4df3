//! See `liftlock_fuzz::site`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| liftlock_fuzz::site(bytes));
