//! What the operator writes in `site.toml`.

use std::path::{Path, PathBuf};

use liftlock_types::BackendName;
use serde::Deserialize;

/// Most servers that a site can ask to be left serving.
///
/// 1,000: no site of such a size was heard of; a typing error of more would lock every change out.
pub const AT_LEAST_MAX: u32 = 1_000;

/// Which balancer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BalancerKind {
    /// By its runtime API.
    Haproxy,
    /// By an included file.
    Nginx,
}

/// `[traffic.front]`: where a balancer is. Commands are argument vectors, never a shell; relative paths are relative
/// to the site file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct TrafficConfig {
    /// Which balancer.
    pub kind: BalancerKind,
    /// So many other servers of a backend must serve before one is taken from it; 1 to [`AT_LEAST_MAX`].
    #[serde(default = "one")]
    pub at_least: u32,
    /// HAProxy: the unix socket of its runtime API, of level `admin`.
    #[serde(default)]
    pub socket: Option<PathBuf>,
    /// HAProxy: or its address on TCP, `127.0.0.1:9999`.
    #[serde(default)]
    pub address: Option<String>,
    /// nginx: the file that its `upstream` block includes, with one line for each server. It is Liftlock's.
    #[serde(default)]
    pub include: Option<PathBuf>,
    /// nginx: the name of that `upstream` block.
    #[serde(default)]
    pub backend: Option<String>,
    /// nginx: the file with its master's process id. Old workers are found by it, so it is needed with `reload` too.
    #[serde(default)]
    pub pid_file: Option<PathBuf>,
    /// nginx: tests its files: `["nginx", "-t"]`.
    #[serde(default)]
    pub test: Vec<String>,
    /// nginx: makes it load them. Default: HUP to its master.
    #[serde(default)]
    pub reload: Vec<String>,
}

fn one() -> u32 {
    1
}

/// A value that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{key}`: {right}")]
pub struct Mistake {
    /// Which key of the binding.
    pub key: &'static str,
    /// What is wrong, and what would be right.
    pub right: String,
}

/// A balancer that cannot be used as the operator wrote it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrafficError {
    /// A value cannot be.
    #[error("the definition of the balancer is wrong")]
    Config(#[source] Mistake),
}

impl TrafficConfig {
    /// A HAProxy behind this socket.
    pub fn haproxy_socket(socket: impl Into<PathBuf>) -> Self {
        Self {
            socket: Some(socket.into()),
            ..Self::empty(BalancerKind::Haproxy)
        }
    }

    /// A HAProxy behind this address.
    pub fn haproxy_address(address: impl Into<String>) -> Self {
        Self {
            address: Some(address.into()),
            ..Self::empty(BalancerKind::Haproxy)
        }
    }

    fn empty(kind: BalancerKind) -> Self {
        Self {
            kind,
            at_least: one(),
            socket: None,
            address: None,
            include: None,
            backend: None,
            pid_file: None,
            test: Vec::new(),
            reload: Vec::new(),
        }
    }

    /// What the parser does not see.
    pub fn check(&self) -> Result<(), Mistake> {
        let wrong = |key, right: &str| {
            Err(Mistake {
                key,
                right: right.into(),
            })
        };
        if self.at_least == 0 || self.at_least > AT_LEAST_MAX {
            return wrong(
                "at-least",
                &format!(
                    "it must be 1 to {AT_LEAST_MAX}: servers of a backend that go on to serve"
                ),
            );
        }
        let given = [
            ("socket", self.socket.is_some(), BalancerKind::Haproxy),
            ("address", self.address.is_some(), BalancerKind::Haproxy),
            ("include", self.include.is_some(), BalancerKind::Nginx),
            ("backend", self.backend.is_some(), BalancerKind::Nginx),
            ("pid-file", self.pid_file.is_some(), BalancerKind::Nginx),
            ("test", !self.test.is_empty(), BalancerKind::Nginx),
            ("reload", !self.reload.is_empty(), BalancerKind::Nginx),
        ];
        for (key, is_given, kind) in given {
            if is_given && kind != self.kind {
                return wrong(
                    key,
                    match self.kind {
                        BalancerKind::Haproxy => {
                            "it is a key of kind `nginx`; HAProxy has `socket` or `address`"
                        }
                        BalancerKind::Nginx => {
                            "it is a key of kind `haproxy`; nginx has `include`, `backend`, `pid-file` and `test`"
                        }
                    },
                );
            }
        }
        match self.kind {
            BalancerKind::Haproxy => self.check_haproxy(),
            BalancerKind::Nginx => self.check_nginx(),
        }
        .map_or(Ok(()), |(key, right)| wrong(key, &right))
    }

    fn check_haproxy(&self) -> Option<(&'static str, String)> {
        match (&self.socket, &self.address) {
            (Some(_), Some(_)) => Some((
                "address",
                "`socket` and `address` are two ways to one runtime API: name one".into(),
            )),
            (None, None) => Some((
                "socket",
                "HAProxy needs its runtime API: `socket = \"/run/haproxy/admin.sock\"` or \
                 `address = \"127.0.0.1:9999\"`"
                    .into(),
            )),
            (None, Some(address)) => {
                let port = address
                    .rsplit_once(':')
                    .filter(|(host, _)| !host.is_empty());
                match port.map(|(_, port)| port.parse::<u16>()) {
                    Some(Ok(1..)) => None,
                    _ => Some((
                        "address",
                        format!(
                            "`{}` is no `host:port`, such as `127.0.0.1:9999`",
                            address.escape_debug()
                        ),
                    )),
                }
            }
            (Some(_), None) => None,
        }
    }

    fn check_nginx(&self) -> Option<(&'static str, String)> {
        let Some(backend) = &self.backend else {
            return Some((
                "backend",
                "the name of the `upstream` block that includes the file".into(),
            ));
        };
        if let Err(error) = BackendName::check(backend) {
            return Some(("backend", error.to_string()));
        }
        if self.include.is_none() {
            return Some((
                "include",
                "the file that the `upstream` block includes, with one line for each server".into(),
            ));
        }
        if self.pid_file.is_none() {
            return Some((
                "pid-file",
                "the file of nginx's `pid` line: its workers are found by it".into(),
            ));
        }
        if self.test.is_empty() {
            return Some((
                "test",
                "a command that tests nginx's files, as a list: `[\"nginx\", \"-t\"]`".into(),
            ));
        }
        None
    }

    /// Relative paths are relative to the site file; a program with a separator is a path.
    pub(crate) fn resolve(&mut self, base: &Path) {
        for path in [&mut self.socket, &mut self.include, &mut self.pid_file]
            .into_iter()
            .flatten()
        {
            *path = base.join(&*path);
        }
        for command in [&mut self.test, &mut self.reload] {
            if let Some(program) = command.first_mut()
                && program.contains('/')
            {
                *program = base.join(&*program).display().to_string();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NGINX: &str = "kind = \"nginx\"\ninclude = \"up.conf\"\nbackend = \"be\"\npid-file = \"p\"\ntest = [\"bin/t\"]\n";

    fn config(text: &str) -> TrafficConfig {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn a_definition_reads_as_the_operator_writes_it() {
        let socket = config("kind = \"haproxy\"\nsocket = \"run/ha.sock\"");
        socket.check().unwrap();
        assert_eq!(socket, TrafficConfig::haproxy_socket("run/ha.sock"));
        let address = config("kind = \"haproxy\"\naddress = \"[::1]:9999\"\nat-least = 2");
        address.check().unwrap();
        assert_eq!(address.at_least, 2);
        let mut nginx = config(NGINX);
        nginx.check().unwrap();
        nginx.resolve(Path::new("/site"));
        assert_eq!(nginx.include.as_deref(), Some(Path::new("/site/up.conf")));
        assert_eq!(nginx.test, ["/site/bin/t"]);
    }

    #[test]
    fn refuses_what_cannot_be_meant_and_names_the_key() {
        let haproxy = |more: &str| format!("kind = \"haproxy\"\n{more}");
        for (text, key) in [
            (haproxy(""), "socket"),
            (haproxy("socket = \"s\"\naddress = \"a:1\""), "address"),
            (haproxy("address = \"9999\""), "address"),
            (haproxy("address = \":9999\""), "address"),
            (haproxy("address = \"a:0\""), "address"),
            (haproxy("address = \"a:65536\""), "address"),
            (haproxy("socket = \"s\"\nat-least = 0"), "at-least"),
            (haproxy("socket = \"s\"\nat-least = 1001"), "at-least"),
            (haproxy("socket = \"s\"\ntest = [\"x\"]"), "test"),
            (NGINX.replace("include = \"up.conf\"\n", ""), "include"),
            (NGINX.replace("backend = \"be\"\n", ""), "backend"),
            (NGINX.replace("\"be\"", "\"b e\""), "backend"),
            (NGINX.replace("pid-file = \"p\"\n", ""), "pid-file"),
            (NGINX.replace("test = [\"bin/t\"]\n", ""), "test"),
            (format!("{NGINX}socket = \"s\""), "socket"),
        ] {
            assert_eq!(config(&text).check().unwrap_err().key, key, "{text}");
        }
        for text in [
            "kind = \"apache\"",
            "socket = \"s\"",
            "kind = \"nginx\"\ntest = \"nginx -t\"",
            "kind = \"haproxy\"\npath = \"s\"",
        ] {
            assert!(toml::from_str::<TrafficConfig>(text).is_err(), "{text}");
        }
    }
}
