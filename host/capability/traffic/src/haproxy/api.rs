//! One command, one connection; the answer ends where the connection does.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// Longest wait for a connection: the API listens on this machine or beside it.
const CONNECT_MAX: Duration = Duration::from_secs(2);

/// Longest wait for an answer. It is computed from memory; a process that is frozen gives none.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// Longest answer: a row of statistics has some 600 bytes, so this is that of some 25,000 servers.
const ANSWER_BYTES_MAX: u64 = 16 << 20;

/// Where the API listens.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    /// A unix socket.
    Socket(PathBuf),
    /// `host:port`.
    Address(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(path) => write!(f, "unix:{}", path.display()),
            Self::Address(address) => write!(f, "tcp:{address}"),
        }
    }
}

#[derive(Debug)]
pub(crate) enum ApiError {
    /// Nothing left this process.
    NotConnected(String),
    /// It was sent, and no whole answer came back.
    Lost(String),
}

pub(crate) async fn command(place: &Place, text: &str) -> Result<String, ApiError> {
    let not_connected =
        |why: String| ApiError::NotConnected(format!("HAProxy's runtime API at {place}: {why}"));
    match place {
        Place::Socket(path) => {
            let stream = connected(tokio::net::UnixStream::connect(path)).await;
            exchange(stream.map_err(not_connected)?, place, text).await
        }
        Place::Address(address) => {
            let stream = connected(tokio::net::TcpStream::connect(address)).await;
            exchange(stream.map_err(not_connected)?, place, text).await
        }
    }
}

async fn connected<S>(connect: impl Future<Output = std::io::Result<S>>) -> Result<S, String> {
    match tokio::time::timeout(CONNECT_MAX, connect).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no connection within {} s", CONNECT_MAX.as_secs())),
    }
}

async fn exchange(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    place: &Place,
    text: &str,
) -> Result<String, ApiError> {
    let lost =
        |why: String| ApiError::Lost(format!("HAProxy's runtime API at {place}, `{text}`: {why}"));
    let both = async {
        stream.write_all(format!("{text}\n").as_bytes()).await?;
        let mut answer = Vec::new();
        stream
            .take(ANSWER_BYTES_MAX + 1)
            .read_to_end(&mut answer)
            .await?;
        Ok::<_, std::io::Error>(answer)
    };
    let answer = match tokio::time::timeout(ANSWER_MAX, both).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => return Err(lost(error.to_string())),
        Err(_) => return Err(lost(format!("no answer within {} s", ANSWER_MAX.as_secs()))),
    };
    if answer.is_empty() {
        return Err(lost("the connection ended without an answer".into()));
    }
    if answer.len() as u64 > ANSWER_BYTES_MAX {
        return Err(lost(format!("an answer above {ANSWER_BYTES_MAX} bytes")));
    }
    String::from_utf8(answer).map_err(|_| lost("an answer that is no text".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn answered_by(bytes: &'static [u8]) -> Result<String, ApiError> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut command = [0; 6];
            stream.read_exact(&mut command).await.unwrap();
            stream.write_all(bytes).await.unwrap();
            command
        });
        let answer = command(&Place::Address(address), "hello").await;
        assert_eq!(&server.await.unwrap(), b"hello\n");
        answer
    }

    #[tokio::test]
    async fn an_empty_line_is_an_answer_and_nothing_is_none() {
        assert_eq!(answered_by(b"\n").await.unwrap(), "\n");
        assert!(matches!(answered_by(b"").await, Err(ApiError::Lost(_))));
        assert!(matches!(
            answered_by(b"\xff\n").await,
            Err(ApiError::Lost(_))
        ));
    }

    #[tokio::test]
    async fn without_a_connection_nothing_was_sent() {
        let nowhere = Place::Socket("/nonexistent/ha.sock".into());
        let error = command(&nowhere, "show info").await.unwrap_err();
        assert!(
            matches!(&error, ApiError::NotConnected(why) if why.contains("unix:/nonexistent/ha.sock")),
            "{error:?}"
        );
    }
}
