//! See `liftlock_fuzz::grants`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| liftlock_fuzz::grants(bytes));
