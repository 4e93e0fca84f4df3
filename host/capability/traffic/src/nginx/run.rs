//! The operator's two commands, with bounded time and output.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::process::Command;

/// Longest test or reload; nginx takes a fraction of a second, one with many certificates some.
const COMMAND_MAX: Duration = Duration::from_secs(15);

/// Most bytes of its words that are read; of a failure only the beginning is shown.
const OUTPUT_BYTES_MAX: u64 = 16 << 10;

/// Runs it to its end; what it said where it did not end well.
pub(crate) async fn run(argv: &[String]) -> Result<(), String> {
    let (program, arguments) = argv.split_first().ok_or("the command is empty")?;
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| format!("`{program}` cannot be started: {error}"))?;
    let stderr = child.stderr.take();
    let whole = async {
        let mut said = Vec::new();
        if let Some(stderr) = stderr {
            let mut bounded = stderr.take(OUTPUT_BYTES_MAX);
            bounded.read_to_end(&mut said).await?;
            // Read on, or who writes more waits for us.
            tokio::io::copy(&mut bounded.into_inner(), &mut tokio::io::sink()).await?;
        }
        Ok::<_, std::io::Error>((child.wait().await?, said))
    };
    match tokio::time::timeout(COMMAND_MAX, whole).await {
        Ok(Ok((status, _))) if status.success() => Ok(()),
        Ok(Ok((status, said))) => Err(format!(
            "`{program}` ended with {status}: {}",
            crate::answer::shown(&String::from_utf8_lossy(&said))
        )),
        Ok(Err(error)) => Err(format!("`{program}`: {error}")),
        Err(_) => Err(format!(
            "`{program}` did not end within {} s",
            COMMAND_MAX.as_secs()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_command_that_fails_says_why() {
        let argv = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(run(&argv(&["true"])).await, Ok(()));
        let why = run(&argv(&["sh", "-c", "echo no >&2; exit 3"])).await;
        let why = why.unwrap_err();
        assert!(why.contains("exit status: 3: no"), "{why}");
        assert!(run(&argv(&["/nonexistent/nginx"])).await.is_err());
        assert!(run(&[]).await.is_err());
    }
}
