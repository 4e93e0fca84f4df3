//! This machine: ports that are free, and processes told by their arguments.

use std::fs;
use std::net::TcpListener;

/// A port of 127.0.0.1 that nobody listens on; somebody else can take it before it is used.
pub fn free_port() -> anyhow::Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    Ok(listener.local_addr()?.port())
}

/// Processes whose arguments, the program's name before them, are such, whoever started them.
pub fn processes(are_such: impl Fn(&[&[u8]]) -> bool) -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid: &u32| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let words: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
            are_such(&words)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_this_process_by_its_name_and_nobody_by_another() {
        let name = std::env::args_os().next().unwrap();
        let is_ours = |words: &[&[u8]]| words[0] == name.as_encoded_bytes();
        assert!(processes(is_ours).contains(&std::process::id()));
        assert!(processes(|words| words.contains(&b"no such argument".as_slice())).is_empty());
    }

    #[test]
    fn a_free_port_can_be_listened_on() {
        let port = free_port().unwrap();
        assert!(TcpListener::bind(("127.0.0.1", port)).is_ok());
    }
}
