//! `liftlock-hostile LIFTLOCK [PART...]`: every case, one line each, and a last line for scripts.
#![expect(
    clippy::print_stdout,
    reason = "this program talks to whoever started it"
)]

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use liftlock_hostile::{Judge, PARTS};

#[tokio::main]
async fn main() -> ExitCode {
    let begun = Instant::now();
    let mut judge = Judge::loud();
    let liftlock = std::env::args_os().nth(1).map(PathBuf::from);
    let liftlock = liftlock.and_then(|file| file.canonicalize().ok());
    let done = match liftlock {
        Some(liftlock) => {
            let named: Vec<String> = std::env::args().skip(2).collect();
            let named: Vec<&str> = named.iter().map(String::as_str).collect();
            let parts = if named.is_empty() { &PARTS[..] } else { &named };
            liftlock_hostile::some(&mut judge, &liftlock, parts).await
        }
        None => Err(anyhow::anyhow!("name the program under test")),
    };
    if let Err(error) = &done {
        println!("error: {error:#}");
    }
    for escaped in judge.escaped() {
        println!("{escaped}");
    }
    println!("{}", judge.summary(begun.elapsed().as_secs()));
    if done.is_ok() && judge.guests() > 0 && judge.escaped().is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
