//! Secrets: fetched when a target is opened, held where nothing formats them.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use liftlock_types::SecretRef;
use secrecy::SecretString;
use tokio::process::Command;

use crate::code::Code;
use crate::failure::Failure;

/// How long a command may take to give a secret.
///
/// 30 s: a vault that asks another service answers in one or two; a command that waits for a person to type
/// would hold an unattended run for ever.
const COMMAND_DEADLINE: Duration = Duration::from_secs(30);

/// Largest file that a secret is read from; the longest real ones, PEM bundles, have some 10 KiB.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Fetches what `site.toml` refers to. Relative files are beside it.
///
/// What the source said besides the secret (a command's output, an error with its text) is in no message.
pub(crate) async fn resolve(secret: &SecretRef, site_dir: &Path) -> Result<SecretString, Failure> {
    let value = match secret {
        SecretRef::Env(name) => from_env(name),
        SecretRef::File(path) => from_file(&site_dir.join(path)),
        SecretRef::Command(words) => from_command(words, site_dir).await,
    }
    .map_err(|(why, remedy)| {
        Failure::new(
            Code::Secret,
            format!("cannot fetch the secret from {}", source(secret)),
        )
        .cause(why)
        .remedy(remedy)
        .untouched("no target was contacted")
    })?;
    if value.is_empty() {
        return Err(Failure::new(
            Code::Secret,
            format!("the secret from {} is empty", source(secret)),
        )
        .remedy("put the secret there")
        .untouched("no target was contacted"));
    }
    Ok(SecretString::from(value))
}

/// Where a secret comes from, for people.
fn source(secret: &SecretRef) -> String {
    match secret {
        SecretRef::Env(name) => format!("the environment variable `{}`", name.escape_debug()),
        SecretRef::File(path) => format!("the file `{}`", path.display()),
        // Its arguments may be secrets of their own.
        SecretRef::Command(words) => {
            format!(
                "the command `{}`",
                words
                    .first()
                    .map(String::as_str)
                    .unwrap_or_default()
                    .escape_debug()
            )
        }
    }
}

type Why = (String, &'static str);

fn from_env(name: &str) -> Result<String, Why> {
    match std::env::var(name) {
        Ok(value) => Ok(value),
        Err(std::env::VarError::NotPresent) => {
            Err(("it is not set".into(), "set it where liftlock is started"))
        }
        Err(std::env::VarError::NotUnicode(_)) => Err(("it is no UTF-8".into(), "put text there")),
    }
}

fn from_file(path: &Path) -> Result<String, Why> {
    let why = |e: std::io::Error| (e.to_string(), "see that this user can read the file");
    if fs::metadata(path).map_err(why)?.len() > FILE_BYTES_MAX {
        return Err((
            format!("it has more than {FILE_BYTES_MAX} bytes"),
            "put nothing but the secret there",
        ));
    }
    let text = fs::read_to_string(path).map_err(why)?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    Ok(text.strip_suffix('\r').unwrap_or(text).to_owned())
}

async fn from_command(words: &[String], dir: &Path) -> Result<String, Why> {
    const REMEDY: &str = "run the command by hand and see what it says";
    let (program, arguments) = words
        .split_first()
        .ok_or(("it names no command".to_owned(), "name one"))?;
    let child = Command::new(program)
        .args(arguments)
        .current_dir(dir)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .output();
    let output = match tokio::time::timeout(COMMAND_DEADLINE, child).await {
        Err(_) => {
            return Err((
                format!("it did not end within {} s", COMMAND_DEADLINE.as_secs()),
                REMEDY,
            ));
        }
        Ok(Err(e)) => return Err((format!("it could not be started: {e}"), REMEDY)),
        Ok(Ok(output)) => output,
    };
    if !output.status.success() {
        return Err((format!("it ended with {}", output.status), REMEDY));
    }
    let text = String::from_utf8(output.stdout)
        .map_err(|_| ("its output is no UTF-8".to_owned(), REMEDY))?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;
    use crate::output::Paint;

    const CANARY: &str = "canary-5c1d9e";

    async fn resolved(secret: SecretRef, dir: &Path) -> Result<String, Failure> {
        resolve(&secret, dir)
            .await
            .map(|secret| secret.expose_secret().to_owned())
    }

    fn command(words: &[&str]) -> SecretRef {
        SecretRef::Command(words.iter().map(ToString::to_string).collect())
    }

    #[tokio::test]
    async fn a_secret_comes_from_a_file_without_its_line_break() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("pw"), format!("{CANARY}\r\n")).unwrap();
        assert_eq!(
            resolved(SecretRef::File("pw".into()), dir.path())
                .await
                .unwrap(),
            CANARY
        );
    }

    #[tokio::test]
    async fn a_secret_comes_from_the_first_line_of_a_command() {
        let dir = tempfile::tempdir().unwrap();
        let words = command(&["printf", &format!("{CANARY}\\nmore\\n")]);
        assert_eq!(resolved(words, dir.path()).await.unwrap(), CANARY);
    }

    #[tokio::test]
    async fn no_error_holds_what_the_source_said() {
        let dir = tempfile::tempdir().unwrap();
        let script = format!("echo {CANARY}; echo {CANARY} >&2; exit 3");
        for bad in [
            command(&["sh", "-c", &script]),
            command(&["sh", "-c", "true", CANARY]),
            command(&[]),
            command(&["no-such-command", CANARY]),
            SecretRef::Env("LIFTLOCK_TEST_NO_SUCH_VARIABLE".into()),
            SecretRef::File("nothing".into()),
        ] {
            let failure = resolved(bad, dir.path()).await.unwrap_err();
            let shown = format!(
                "{}{failure:?}{:?}",
                failure.render(Paint::plain()),
                failure.data()
            );
            assert!(!shown.contains(CANARY), "{shown}");
            assert_eq!(failure.code(), Code::Secret);
        }
    }
}
