//! `liftlock`: takes a running system from one version to the next.

fn main() -> std::process::ExitCode {
    liftlock_cli::main()
}
