//! What can be loaded, and where the compiled form is kept.

use std::os::unix::fs::PermissionsExt as _;

use liftlock_sandbox::{Engine, LoadError, SandboxConfig};
use liftlock_types::Digest;

use crate::common::{guest, plugin};

fn engine() -> Engine {
    Engine::new(SandboxConfig::default()).unwrap()
}

fn refused(bytes: &[u8]) -> String {
    engine().load(bytes).unwrap_err().to_string()
}

/// A core module without content, and the same in a component's clothes.
const MODULE: &[u8] = b"\0asm\x01\0\0\0";
const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

#[test]
fn another_kind_of_file_is_named() {
    assert!(refused(MODULE).contains("a core module; build it for `wasm32-wasip2`"));
    assert!(refused(b"\x7fELF....").contains("native"));
    assert!(refused(b"(component)").contains("text"));
    assert!(refused(b"").contains("an empty file"));
    assert!(refused(b"garbage that is long enough").contains("another kind of file"));
}

#[test]
fn a_broken_component_is_refused() {
    let mut bytes = guest().to_vec();
    bytes.truncate(bytes.len() / 2);
    assert!(matches!(engine().load(&bytes), Err(LoadError::Invalid(_))));
}

#[test]
fn a_component_that_is_no_plugin_is_told_what_it_lacks() {
    let text = refused(COMPONENT);
    assert!(
        text.contains("does not export `liftlock:upgrade/upgrade`"),
        "{text}"
    );
    assert!(text.contains("supports 0.1"), "{text}");
}

/// A component that imports one empty instance of this name: import section, instance type section before it.
fn importing(name: &str) -> Vec<u8> {
    let mut bytes = COMPONENT.to_vec();
    // Type section: one instance type with no declarations.
    bytes.extend([7, 3, 1, 0x42, 0]);
    let mut body = vec![1, 0, u8::try_from(name.len()).unwrap()];
    body.extend(name.as_bytes());
    body.extend([5, 0]);
    bytes.extend([10, u8::try_from(body.len()).unwrap()]);
    bytes.extend(body);
    bytes
}

#[test]
fn an_import_that_no_plugin_is_given_is_named_with_what_there_is() {
    for name in [
        "wasi:http/types@0.2.10",
        "evil:host/shell@1.0.0",
        "liftlock:upgrade/nothing@0.1.0",
        "liftlock:upgrade/cluster@0.2.0",
        "wasi:cli/stdin@0.3.0",
    ] {
        let text = refused(&importing(name));
        assert!(text.contains(&format!("imports `{name}`")), "{text}");
        assert!(text.contains("liftlock:upgrade@0.1"), "{text}");
    }
    // The same file with a known import gets further.
    let text = refused(&importing("wasi:cli/stdin@0.2.6"));
    assert!(text.contains("does not export"), "{text}");
}

#[test]
fn imports_show_the_reach_of_a_plugin() {
    let plugin = plugin();
    let cluster = plugin
        .imports()
        .iter()
        .find(|import| import.interface == "liftlock:upgrade/cluster@0.1.0")
        .unwrap();
    assert!(
        cluster
            .functions
            .iter()
            .any(|name| name == "[method]cluster.health")
    );
    let changes = plugin
        .imports()
        .iter()
        .find(|import| import.interface == "liftlock:upgrade/cluster-changes@0.1.0")
        .unwrap();
    assert!(changes.functions.iter().any(|name| name == "delete-index"));
    // What it never calls it does not import, so it cannot ask for it: no plugin of ours looks up a path.
    let all = plugin.imports().iter().flat_map(|import| &import.functions);
    assert!(!all.into_iter().any(|name| name.contains("readlink")));
}

#[test]
fn the_digest_is_of_the_component() {
    assert_eq!(plugin().digest(), &Digest::of(guest()));
}

#[tokio::test]
async fn a_cached_plugin_works_and_a_damaged_entry_is_made_again() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("cache");
    let config = || SandboxConfig {
        cache_dir: Some(dir.clone()),
        ..SandboxConfig::default()
    };
    Engine::new(config()).unwrap().load(guest()).unwrap();
    let entries = || -> Vec<_> {
        std::fs::read_dir(&dir)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect()
    };
    let entry = entries().pop().unwrap();
    let name = entry.file_name().unwrap().to_str().unwrap().to_owned();
    assert!(name.starts_with(Digest::of(guest()).hex()), "{name}");
    assert_eq!(
        std::fs::metadata(&entry).unwrap().permissions().mode() & 0o777,
        0o600
    );

    let cached = Engine::new(config()).unwrap().load(guest()).unwrap();
    assert_eq!(cached.describe().await.unwrap().product, "guest");

    let good = std::fs::read(&entry).unwrap();
    let mut bad = good.clone();
    let middle = bad.len() / 2;
    bad[middle] ^= 1;
    std::fs::write(&entry, &bad).unwrap();
    let again = Engine::new(config()).unwrap().load(guest()).unwrap();
    assert_eq!(again.describe().await.unwrap().product, "guest");
    assert_eq!(entries().len(), 1);
    assert_ne!(std::fs::read(&entry).unwrap(), bad);
}

#[test]
fn a_cache_that_others_may_write_is_refused() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("cache");
    std::fs::create_dir(&dir).unwrap();
    std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(0o777)).unwrap();
    let config = SandboxConfig {
        cache_dir: Some(dir),
        ..SandboxConfig::default()
    };
    assert!(Engine::new(config).is_err());
}
