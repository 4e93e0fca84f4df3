//! The stand-in's program: the vendor's environment and arguments in, the vendor's exit code out.

use std::process::ExitCode;

use liftlock_upgrader::say;
use liftlock_upgrader::settings::Settings;
use liftlock_upgrader::upgrade;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let variable = |name: &str| std::env::var(name).ok();
    let ended = match Settings::read(&arguments, variable) {
        Ok(settings) => upgrade::main(&settings).await,
        Err(failure) => Err(failure),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            say::line(&failure.to_string());
            ExitCode::FAILURE
        }
    }
}
