//! Stands in for the Optimize server: a process that an upgrade has to stop, and later to start.
//!
//! `pretend-optimize PORT PID-FILE` writes its process id, listens on a loopback port and answers every HTTP request with 200 and a
//! body that says so. It ends on SIGTERM, as any process without a handler does.
#![expect(
    clippy::print_stdout,
    reason = "the line is what a readiness check by log looks for"
)]

use std::io::Read;
use std::io::Write;
use std::net::TcpListener;
use std::process::ExitCode;
use std::time::Duration;

/// A client that sends nothing must not keep others waiting for longer.
const READ_PATIENCE: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [port, pid_file] = arguments.as_slice() else {
        println!("usage: pretend-optimize PORT PID-FILE");
        return ExitCode::from(2);
    };
    match serve(port, pid_file) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("pretend-optimize: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(port: &str, pid_file: &str) -> std::io::Result<()> {
    let listener = TcpListener::bind(format!("127.0.0.1:{port}"))?;
    std::fs::write(pid_file, std::process::id().to_string())?;
    println!("Optimize has been started (pretended, port {port})");
    for client in listener.incoming() {
        let mut client = client?;
        client.set_read_timeout(Some(READ_PATIENCE))?;
        // One read holds the head of any request that a health check sends. A client that went
        // away is no reason to end.
        let _ = client.read(&mut [0; 4096]);
        let _ = client.write_all(
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 15\r\n\
              connection: close\r\n\r\n{\"status\":\"UP\"}",
        );
    }
    Ok(())
}
