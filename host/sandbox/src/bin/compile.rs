//! The compiler on its own: what `liftlock compile-plugin` does. For tests of this crate.

use std::ffi::OsString;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    u8::try_from(liftlock_sandbox::compile_main(&arguments))
        .map_or(ExitCode::FAILURE, ExitCode::from)
}
