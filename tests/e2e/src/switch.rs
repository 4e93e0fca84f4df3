//! One address behind which another cluster can be put, as when a name is moved.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use anyhow::Context;
use tokio::io::copy_bidirectional;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// A loopback port that passes every new connection on to where it points at that moment.
#[derive(Debug)]
pub struct Switch {
    address: SocketAddr,
    behind: Arc<Mutex<String>>,
    accepting: JoinHandle<()>,
}

impl Switch {
    /// Listens on a free port; `behind` is the base URL of a server or a proxy, without TLS.
    pub async fn start(behind: &str) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .context("cannot listen on a loopback port")?;
        let address = listener.local_addr().context("the port has no address")?;
        let behind = Arc::new(Mutex::new(authority(behind).to_owned()));
        let accepting = tokio::spawn(accept(listener, behind.clone()));
        Ok(Self {
            address,
            behind,
            accepting,
        })
    }

    /// `http://127.0.0.1:PORT`, the same whatever is behind it.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Points it elsewhere. Connections that are open stay where they are.
    pub fn point_to(&self, behind: &str) {
        *self.behind.lock().unwrap_or_else(PoisonError::into_inner) = authority(behind).to_owned();
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// `127.0.0.1:9200` of `http://127.0.0.1:9200/`.
fn authority(url: &str) -> &str {
    url.trim_start_matches("http://").trim_end_matches('/')
}

async fn accept(listener: TcpListener, behind: Arc<Mutex<String>>) {
    // An error of accept means that the runtime ends or that descriptors ran out; a test that
    // meets it fails by itself, on the refused connection.
    while let Ok((mut client, _)) = listener.accept().await {
        let to = behind
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        tokio::spawn(async move {
            if let Ok(mut server) = TcpStream::connect(to).await {
                // Either end may close at any moment, which is how connections end.
                let _ = copy_bidirectional(&mut client, &mut server).await;
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt;
    use tokio::io::AsyncWriteExt;

    async fn server_that_says(text: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                client.write_all(text.as_bytes()).await.unwrap();
            }
        });
        format!("http://{address}")
    }

    async fn heard(url: &str) -> String {
        let mut stream = TcpStream::connect(authority(url)).await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        text
    }

    #[tokio::test]
    async fn passes_new_connections_on_to_where_it_points_now() {
        let one = server_that_says("one").await;
        let two = server_that_says("two").await;
        let switch = Switch::start(&one).await.unwrap();
        assert_eq!(heard(&switch.url()).await, "one");
        switch.point_to(&two);
        assert_eq!(heard(&switch.url()).await, "two");
    }
}
