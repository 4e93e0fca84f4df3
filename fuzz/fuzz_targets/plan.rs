//! See `liftlock_fuzz::plan`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| liftlock_fuzz::plan(bytes));
