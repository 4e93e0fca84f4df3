//! The database's heap: raised to what the vendor asks for, where the database's configuration and its service
//! are bound; else said exactly what to do.

use liftlock_sdk::prelude::*;

use crate::plan::Writer;
use crate::seen::Seen;

/// The database's configuration directory, with `jvm.options`.
pub(crate) const FILES: &str = "disk.database-config";
/// The database itself, so that it can be restarted.
pub(crate) const DATABASE_SERVICE: &str = "service.database";

/// The step that restarts the database.
pub(crate) const RESTART: &str = "restart-database";

/// The least that a node says of itself where it has the heap of 1g that the vendor asks for.
///
/// A JVM leaves out what it can never fill: one survivor space, which is 1/30 with the serial collector (`-Xmx1g` was
/// seen as 1,037,959,168 bytes) and 1/24 with the parallel one; with G1 nothing. 1/24 of 1,024 MiB is 43.
const HEAP_BYTES_MIN: u64 = 980 << 20;
/// The same as the servers write it.
const HEAP: &str = "1g";

const OPTIONS: &str = "jvm.options";
/// Files in it are read after [`OPTIONS`], in the order of their names.
const OPTIONS_DIR: &str = "jvm.options.d";
/// A file of ours in it, where nothing sets the heap yet; its name comes after most.
const OWN: &str = "zz-heap.options";

/// What a read takes at most; an options file has a few kilobytes.
const READ_MAX: u32 = 1 << 20;

/// How long a node may take until it has its shards back.
const RESTART_MS: u64 = 900_000;

/// Has this node less than the vendor asks for?
pub(crate) fn is_small(node: &Node) -> bool {
    node.heap_max_bytes > 0 && node.heap_max_bytes < HEAP_BYTES_MIN
}

/// Nodes whose heap is too small.
fn small(seen: &Seen) -> impl Iterator<Item = &Node> {
    seen.data_nodes().filter(|node| is_small(node))
}

/// The plan raises it: one node, and both bindings are there. Of several nodes nobody knows which one the
/// bindings are of.
fn can_raise(seen: &Seen, has_bindings: bool) -> bool {
    has_bindings && seen.nodes.len() == 1 && small(seen).next().is_some()
}

fn has_bindings(site: &Site) -> bool {
    site.has(FILES) && site.has(DATABASE_SERVICE)
}

/// Gives the finding of the check the exact way on.
pub(crate) fn remedy(seen: &Seen, site: &Site, found: &mut [Finding]) {
    for finding in found
        .iter_mut()
        .filter(|finding| finding.id == "optimize.heap-small")
    {
        finding.remedy = words(seen, has_bindings(site));
    }
}

fn words(seen: &Seen, has_bindings: bool) -> String {
    if can_raise(seen, has_bindings) {
        return format!(
            "nothing to do: the plan sets the heap to {HEAP} in `{FILES}`, restarts `{DATABASE_SERVICE}` and waits for \
             it; the database is away meanwhile"
        );
    }
    let by_hand = format!(
        "write the two lines `-Xms{HEAP}` and `-Xmx{HEAP}` into `{OPTIONS_DIR}/{OWN}` of the node's configuration \
         directory, look that no variable ES_JAVA_OPTS or OPENSEARCH_JAVA_OPTS sets another heap, and restart the node"
    );
    if seen.nodes.len() > 1 {
        return format!(
            "on this node, and one node after the other: {by_hand}; wait for green before the next"
        );
    }
    format!("{by_hand}; or bind `{FILES}` and `{DATABASE_SERVICE}`, and the plan does it")
}

/// A restart that did not help.
pub(crate) fn findings(seen: &Seen, run: &Run) -> Vec<Finding> {
    if !run.is_done(RESTART) {
        return Vec::new();
    }
    small(seen)
        .map(|node| {
            Finding::warning("optimize.heap-not-raised")
                .subject(&node.name)
                .what(format!(
                    "its heap is {} after the restart",
                    crate::check::size(node.heap_max_bytes)
                ))
                .why("something outside of its configuration directory sets the heap")
                .remedy("look at ES_JAVA_OPTS or OPENSEARCH_JAVA_OPTS where the node is started")
        })
        .collect()
}

/// Where the heap is set.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Set {
    /// In this text: old and new of each line.
    Lines(Vec<(String, String)>),
    /// Nowhere.
    Nowhere,
    /// In a way that no edit fits.
    Unclear,
}

/// Lines of a file that set the heap and are no comments.
fn set_in(text: &str) -> Set {
    let mut edits = Vec::new();
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let bare = line.trim_end();
        for flag in ["-Xms", "-Xmx"] {
            if bare.starts_with(flag) {
                // With the end of the line before, so that a comment with the same words is another text.
                let front = if at == 0 { "" } else { "\n" };
                edits.push((format!("{front}{bare}"), format!("{front}{flag}{HEAP}")));
            }
        }
        at += line.len();
    }
    if edits.is_empty() {
        return Set::Nowhere;
    }
    let once = edits
        .iter()
        .all(|(old, _)| text.matches(old.as_str()).count() == 1);
    if once {
        Set::Lines(edits)
    } else {
        Set::Unclear
    }
}

impl Writer<'_> {
    /// Edits the options, restarts the database and waits for it.
    pub(crate) fn raise_heap(&self) -> Result<()> {
        if !can_raise(self.seen, has_bindings(self.site)) {
            return Ok(());
        }
        let directory = Directory::open(self.site, FILES)?;
        if !self.edit_options(&directory)? {
            self.plan.not_done(&format!(
                "The database's heap stays small: `{FILES}` holds no options that could be edited safely. {}",
                words(self.seen, false)
            ));
            return Ok(());
        }
        let database = Service::open(self.site, DATABASE_SERVICE)?;
        self.plan
            .step(RESTART, Phase::Prepare, "restart the database")
            .because(
                "a heap is set when the process starts; Optimize is stopped, so that nobody writes",
            )
            .does(database.restart())
            .ends_when(
                "the database is ready",
                database.ready().patience_ms(RESTART_MS),
            )
            .ends_when(
                "its primaries have started",
                self.database.healthy("yellow").patience_ms(RESTART_MS),
            )
            .work("restarts", 1)
            .add()
            .map(drop)
    }

    /// The last file that sets the heap counts, as the servers read them.
    fn edit_options(&self, directory: &Directory) -> Result<bool> {
        let more = directory.open_directory(OPTIONS_DIR).found()?;
        if let Some(more) = &more {
            let mut names: Vec<String> = more
                .entries()?
                .into_iter()
                .map(|entry| entry.name)
                .filter(|name| name.ends_with(".options"))
                .collect();
            names.sort();
            for name in names.iter().rev() {
                match self.edit(more, name)? {
                    Some(done) => return Ok(done),
                    None => continue,
                }
            }
        }
        if let Some(done) = self.edit(directory, OPTIONS)? {
            return Ok(done);
        }
        let Some(more) = &more else {
            return Ok(false);
        };
        self.plan
            .step(
                "write-heap",
                Phase::Prepare,
                &format!("set the database's heap to {HEAP}"),
            )
            .because("the vendor asks for it during the upgrade, and no options file sets it")
            .does(more.write(OWN, &format!("-Xms{HEAP}\n-Xmx{HEAP}\n")))
            .add()?;
        Ok(true)
    }

    /// None: the file does not set the heap. False: it does, and cannot be edited.
    fn edit(&self, directory: &Directory, name: &str) -> Result<Option<bool>> {
        let Some(sha256) = directory.sha256(name).found()? else {
            return Ok(None);
        };
        let text = String::from_utf8(directory.read(name, 0, READ_MAX)?).unwrap_or_default();
        let edits = match set_in(&text) {
            Set::Nowhere => return Ok(None),
            Set::Unclear => return Ok(Some(false)),
            Set::Lines(edits) => edits,
        };
        let hunks: Vec<Hunk> = edits
            .into_iter()
            .map(|(old, new)| Hunk { old, new })
            .collect();
        self.plan
            .step(
                "raise-heap",
                Phase::Prepare,
                &format!("set the database's heap to {HEAP} in {name}"),
            )
            .because("the vendor asks for it during the upgrade; a copy of the file is kept")
            .does(directory.edit(name, &sha256, &hunks))
            .add()?;
        Ok(Some(true))
    }
}

/// What the configuration directory is asked for.
pub(crate) fn files() -> Request {
    let any = format!("{OPTIONS_DIR}/*");
    describe::optional(
        FILES,
        "the database needs a heap of 1g during the upgrade; without it a finding says what to do",
    )
    .verb("disk.read", &[OPTIONS, &any], "what sets the heap")
    .verb_at_most(
        "disk.edit",
        &[OPTIONS, &any],
        1,
        "-Xms and -Xmx, where the heap is too small; a copy of the file is kept",
    )
    .verb_at_most(
        "disk.write",
        &[&format!("{OPTIONS_DIR}/{OWN}")],
        1,
        "a file of ours, where no other sets the heap",
    )
}

/// What the database's service is asked for.
pub(crate) fn service() -> Request {
    describe::optional(
        DATABASE_SERVICE,
        "a new heap needs a restart of the database",
    )
    .verb("service.read", &[], "is it ready again")
    .verb_at_most("service.restart", &[], 1, "after its heap was raised")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::site;

    #[test]
    fn lines_that_count_are_edited_and_comments_are_not() {
        let text = "## -Xms4g\n-Xms512m\n-Xmx512m  \n## -Xmx512m\n8-13:-XX:+UseG1GC\n";
        let Set::Lines(edits) = set_in(text) else {
            panic!("{:?}", set_in(text));
        };
        assert_eq!(
            edits,
            [
                ("\n-Xms512m".to_owned(), "\n-Xms1g".to_owned()),
                ("\n-Xmx512m".to_owned(), "\n-Xmx1g".to_owned()),
            ]
        );
        assert_eq!(set_in("# -Xms512m\n"), Set::Nowhere);
        assert_eq!(set_in(""), Set::Nowhere);
        assert_eq!(
            set_in("-Xmx512m\n"),
            Set::Lines(vec![("-Xmx512m".into(), "-Xmx1g".into())])
        );
        assert_eq!(set_in("\n-Xmx512m\n\n-Xmx512m\n"), Set::Unclear);
    }

    #[test]
    fn one_node_with_both_bindings_is_raised_and_all_else_is_said() {
        let mut seen = site("8.7.0");
        assert!(!can_raise(&seen, true), "it has 1 GiB");
        // As a node with `-Xmx1g` and the serial collector says it.
        seen.nodes[0].heap_max_bytes = 1_037_959_168;
        assert!(!can_raise(&seen, true), "it has 1g");
        seen.nodes[0].heap_max_bytes = 512 << 20;
        assert!(can_raise(&seen, true) && !can_raise(&seen, false));
        assert!(words(&seen, true).starts_with("nothing to do"));
        assert!(words(&seen, false).contains("`-Xmx1g`") && words(&seen, false).contains(FILES));
        let other = seen.nodes[0].clone();
        seen.nodes.push(other);
        assert!(!can_raise(&seen, true));
        assert!(words(&seen, true).starts_with("on this node, and one node after the other"));
    }
}
