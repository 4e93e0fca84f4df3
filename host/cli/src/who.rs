//! Who does it, and on which machine.

/// The person or account: what was said, else the user of this process.
pub(crate) fn by(said: Option<&str>) -> String {
    let name = |name: &str| {
        std::env::var(name)
            .ok()
            .filter(|value| !value.trim().is_empty())
    };
    said.map(str::to_owned)
        .filter(|said| !said.trim().is_empty())
        .or_else(|| name("USER"))
        .or_else(|| name("LOGNAME"))
        .unwrap_or_else(user)
}

/// This process's user as the machine's user file has it.
fn user() -> String {
    let uid = rustix::process::geteuid().as_raw();
    let file = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let number = uid.to_string();
    file.lines()
        .find_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next().filter(|name| !name.is_empty())?;
            (fields.nth(1) == Some(number.as_str())).then(|| name.to_owned())
        })
        .unwrap_or_else(|| format!("uid {uid}"))
}

/// The machine's own name for itself.
pub(crate) fn host() -> String {
    rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned()
}

/// Most memory that this process had, in bytes.
pub(crate) fn peak_memory_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}
