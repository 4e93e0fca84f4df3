//! nginx, by its included file.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use liftlock_lab::Nginx;
use liftlock_traffic::TrafficConfig;
use liftlock_types::Binding;
use serde_json::json;
use tempfile::TempDir;

use super::*;

use Administrative::{Drain, Maintenance, Ready};

/// The name that the lab gives its `upstream`.
const BACKEND: &str = "camunda";

struct Lab {
    dir: TempDir,
    behind: [Named; 3],
    nginx: Nginx,
}

impl Lab {
    async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let behind = three().await;
        let servers = behind.each_ref().map(|named| named.behind.clone());
        let nginx = Nginx::start(dir.path(), &servers).await.unwrap();
        Self { dir, behind, nginx }
    }

    fn balancer(&self) -> Balancer {
        self.with("")
    }

    fn command(&self, what: &str) -> String {
        let usual = Path::new("/usr/sbin/nginx");
        let program = if usual.exists() {
            usual
        } else {
            Path::new("nginx")
        };
        let words = format!(
            "{} -p {} -c {} {what}",
            program.display(),
            self.dir.path().display(),
            self.nginx.config_file().display()
        );
        let words: Vec<&str> = words.split_whitespace().collect();
        format!("{words:?}")
    }

    fn with(&self, more: &str) -> Balancer {
        let text = format!(
            "kind = \"nginx\"\ninclude = {:?}\nbackend = \"{BACKEND}\"\npid-file = \"nginx.pid\"\ntest = {}\n{more}",
            self.nginx.include_file(),
            self.command("-t"),
        );
        let config: TrafficConfig = toml::from_str(&text).unwrap();
        let binding = Binding::new("traffic.front").unwrap();
        Balancer::open(binding, &config, self.dir.path()).unwrap()
    }

    fn file(&self) -> String {
        fs::read_to_string(self.nginx.include_file()).unwrap()
    }

    /// What would tell that the file was touched.
    fn stamp(&self) -> (u64, i64, i64, String) {
        let meta = fs::metadata(self.nginx.include_file()).unwrap();
        (meta.ino(), meta.mtime(), meta.mtime_nsec(), self.file())
    }

    fn companions(&self) -> Vec<PathBuf> {
        fs::read_dir(self.dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.to_string_lossy().contains("liftlock"))
            .collect()
    }
}

#[tokio::test]
async fn a_server_is_taken_and_given_back_and_its_open_request_ends() {
    let lab = Lab::start().await;
    let on = lab.balancer();
    let before = lab.file();
    let identity = on.identity().await.unwrap();
    // The only one that serves, so that it has the request.
    let others = [
        done(&on, &state(BACKEND, "n2", Maintenance)).await,
        done(&on, &weight(BACKEND, "n3", 3)).await,
    ];
    assert_eq!(server(&on, BACKEND, "n3").await.weight, 3);
    assert!(lab.file().contains(" weight=3; # n3"), "{}", lab.file());
    taken_back(&on, &weight(BACKEND, "n3", 3), &others[1]).await;
    let n3 = done(&on, &state(BACKEND, "n3", Maintenance)).await;
    let open = slow(lab.nginx.base_url());
    // Time for the request to reach its server; without it the test would be weaker, not wrong.
    tokio::time::sleep(Duration::from_millis(300)).await;
    taken_back(&on, &state(BACKEND, "n2", Maintenance), &others[0]).await;
    taken_back(&on, &state(BACKEND, "n3", Maintenance), &n3).await;

    let change = state(BACKEND, "n1", Maintenance);
    let unknown = on.evaluate(&idle(BACKEND, "n1"), None).await.unwrap_err();
    assert!(matches!(unknown, ReadError::Absent(_)), "{unknown:?}");
    let attempt = done(&on, &change).await;
    assert_eq!(answering(lab.nginx.base_url(), 6).await, ["n2", "n3"]);
    let waits = look(&on, &idle(BACKEND, "n1")).await;
    assert!(!waits.holds);
    assert!(waits.why.contains("old workers"), "{}", waits.why);
    assert!(!open.is_finished());
    lab.behind[0].let_go();
    until(&on, &idle(BACKEND, "n1")).await;
    assert_eq!(open.await.unwrap(), json!("n1"));

    let key = format!("{BACKEND}/n1/state");
    assert_eq!(on.borrowed_now(&key).await.unwrap(), json!("maintenance"));
    assert!(look(&on, &in_state(BACKEND, "n1", Maintenance)).await.holds);
    taken_back(&on, &change, &attempt).await;
    assert_eq!(answering(lab.nginx.base_url(), 6).await, ["n1", "n2", "n3"]);
    // But for a weight that is written out, each line is as it was.
    assert_eq!(lab.file().replace(" weight=1;", ";"), before);
    assert_eq!(on.identity().await.unwrap(), identity);
    assert_eq!(lab.companions(), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn a_file_that_the_test_refuses_leaves_the_old_one_as_it_was_and_in_force() {
    let lab = Lab::start().await;
    let on = lab.balancer();
    let workers = lab.nginx.process().children();
    let before = lab.stamp();
    let main = lab.nginx.config_file();
    let good = fs::read_to_string(&main).unwrap();
    fs::write(&main, format!("{good}nonsense;\n")).unwrap();
    let change = state(BACKEND, "n1", Maintenance);
    let (_, attempt) = observed(&on, &change).await;
    let (kind, text) = refusal(on.act(&change, &attempt).await);
    assert_eq!(kind, "test");
    assert!(text.contains("nonsense"), "{text}");
    assert_eq!(lab.stamp(), before);
    assert_eq!(lab.nginx.process().children(), workers);
    assert!(matches!(
        on.probe(&change, &attempt).await.unwrap(),
        Probed::Absent(_)
    ));
    assert_eq!(answering(lab.nginx.base_url(), 6).await, ["n1", "n2", "n3"]);

    // As does a reload that cannot be made.
    fs::write(&main, good).unwrap();
    let failing = lab.with("reload = [\"false\"]\n");
    let (kind, _) = refusal(failing.act(&change, &attempt).await);
    assert_eq!(kind, "reload");
    assert_eq!(lab.stamp(), before);
    assert_eq!(lab.companions(), Vec::<PathBuf>::new());
    // The same change passes when nothing stands in its way, here with a command for the reload.
    let on = lab.with(&format!("reload = {}\n", lab.command("-s reload")));
    done(&on, &change).await;
    assert_eq!(answering(lab.nginx.base_url(), 6).await, ["n2", "n3"]);
}

#[tokio::test]
async fn the_last_serving_server_is_never_taken_and_what_nginx_cannot_do_is_absent() {
    let lab = Lab::start().await;
    let on = lab.balancer();
    for name in ["n2", "n3"] {
        done(&on, &state(BACKEND, name, Maintenance)).await;
    }
    let change = state(BACKEND, "n1", Maintenance);
    let before = lab.stamp();
    let (_, attempt) = observed(&on, &change).await;
    let (kind, text) = refusal(on.act(&change, &attempt).await);
    assert_eq!(kind, "last-serving");
    assert!(text.contains("no other server"), "{text}");
    assert_eq!(lab.stamp(), before);
    assert_eq!(answering(lab.nginx.base_url(), 3).await, ["n1"]);

    for change in [state(BACKEND, "n2", Drain), weight(BACKEND, "n2", 0)] {
        assert!(matches!(on.facts(&change).await, Err(ReadError::Absent(_))));
        refusal(on.act(&change, &attempt).await);
    }
    assert_eq!(lab.stamp(), before);
    let none = on.evaluate(&receives(BACKEND, "n1"), None).await;
    assert!(matches!(none, Err(ReadError::Absent(_))));
    let n1 = server(&on, BACKEND, "n1").await;
    assert_eq!((n1.current, n1.queued, n1.total), (None, None, None));
    let missing = on.facts(&state(BACKEND, "n9", Ready)).await;
    assert!(matches!(missing, Err(ReadError::NotFound(_))));
    assert!(matches!(
        servers(&on, "x").await,
        Err(ReadError::NotFound(_))
    ));
    assert_eq!(servers(&on, "x*").await.unwrap(), []);
    assert_eq!(servers(&on, "cam*").await.unwrap().len(), 3);
}

#[tokio::test]
async fn a_change_that_was_cut_short_is_no_state_until_nginx_has_loaded_it() {
    let lab = Lab::start().await;
    let on = lab.balancer();
    let change = state(BACKEND, "n1", Maintenance);
    let (_, attempt) = observed(&on, &change).await;
    // As after a crash between the file and the reload.
    let file = lab.nginx.include_file();
    let text = lab.file();
    let aside = file.with_file_name(".upstream.conf.liftlock-old");
    fs::rename(&file, &aside).unwrap();
    fs::write(&file, text.replace("; # n1", " down; # n1")).unwrap();
    assert!(look(&on, &in_state(BACKEND, "n1", Ready)).await.holds);
    assert!(matches!(
        on.probe(&change, &attempt).await.unwrap(),
        Probed::Absent(_)
    ));
    // What would be needed to go back is not tidied away.
    on.clean_up(&change, &attempt).await.unwrap();
    assert_eq!(lab.companions(), [aside]);
    let attempt = done(&on, &change).await;
    assert_eq!(answering(lab.nginx.base_url(), 6).await, ["n2", "n3"]);
    taken_back(&on, &change, &attempt).await;
    assert_eq!(lab.file(), text);
    assert_eq!(lab.companions(), Vec::<PathBuf>::new());

    // A hand that changed the file and loaded nothing: nobody can say what nginx has.
    fs::write(&file, text.replace("; # n1", " down; # n1")).unwrap();
    let unknown = servers(&on, BACKEND).await.unwrap_err();
    assert!(unknown.to_string().contains("reload nginx"), "{unknown}");
    assert!(matches!(on.act(&change, &attempt).await, Acted::NotSent(_)));
}

#[tokio::test]
async fn an_nginx_that_does_not_run_is_unavailable() {
    let mut lab = Lab::start().await;
    let on = lab.balancer();
    let change = state(BACKEND, "n1", Maintenance);
    let (_, attempt) = observed(&on, &change).await;
    let before = lab.stamp();
    lab.nginx.kill();
    assert!(matches!(
        servers(&on, BACKEND).await,
        Err(ReadError::Unavailable(_))
    ));
    assert!(matches!(on.act(&change, &attempt).await, Acted::NotSent(_)));
    assert!(matches!(
        on.probe(&change, &attempt).await,
        Err(ReadError::Unavailable(_))
    ));
    assert_eq!(lab.stamp(), before);
    fs::remove_file(lab.nginx.include_file()).unwrap();
    assert!(matches!(
        on.identity().await,
        Err(ReadError::Unavailable(_))
    ));
}
