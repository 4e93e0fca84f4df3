//! The supervisor on its own: what `liftlock supervise SPEC` does.

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let spec = std::env::args_os().nth(1).unwrap_or_default();
    u8::try_from(liftlock_service::supervise_main(Path::new(&spec)))
        .map_or(ExitCode::FAILURE, ExitCode::from)
}
