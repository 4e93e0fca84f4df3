//! See `liftlock_fuzz::edge`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| liftlock_fuzz::edge(bytes));
