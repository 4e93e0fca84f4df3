//! How much the disks of a rehearsal's nodes are filled while it runs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use liftlock_gate::Bindings;
use liftlock_types::facts::cluster::Node;
use liftlock_types::{Binding, Read};
use tokio::task::JoinHandle;

/// Between two looks.
///
/// Two seconds: two small requests to each cluster, which are nothing beside a run; a peak that lasts for less is missed,
/// and no copy of an index of the sizes that matter is made and gone in that time.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Bytes used at the first look and most bytes used, by `BINDING/NODE`.
type Seen = BTreeMap<String, (u64, u64)>;

/// Looks at the nodes of a rehearsal's clusters until it is asked.
pub(crate) struct DiskWatch {
    seen: Arc<Mutex<Seen>>,
    task: JoinHandle<()>,
}

impl DiskWatch {
    /// Begins to look.
    pub(crate) fn start(scratch: &BTreeSet<Binding>, bindings: &Bindings) -> Self {
        let clusters: Bindings = bindings
            .iter()
            .filter(|(binding, _)| binding.capability() == "cluster" && scratch.contains(*binding))
            .map(|(binding, cluster)| (binding.clone(), cluster.clone()))
            .collect();
        let seen = Arc::new(Mutex::new(Seen::new()));
        let task = tokio::spawn(look(clusters, seen.clone()));
        Self { seen, task }
    }

    /// Most bytes beyond those of the first look, by `BINDING/NODE`; none: no node said anything of its disk.
    pub(crate) fn peaks(self) -> Option<BTreeMap<String, u64>> {
        self.task.abort();
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        (!seen.is_empty()).then(|| {
            seen.iter()
                .map(|(node, (first, most))| (node.clone(), most.saturating_sub(*first)))
                .collect()
        })
    }
}

async fn look(clusters: Bindings, seen: Arc<Mutex<Seen>>) {
    loop {
        for (binding, cluster) in &clusters {
            // A node that is being switched says nothing; the next look finds it again.
            let Ok(answer) = cluster.read(&Read::Nodes).await else {
                continue;
            };
            let nodes: Vec<Node> = serde_json::from_value(answer).unwrap_or_default();
            let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            take_in(&mut seen, binding, &nodes);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn take_in(seen: &mut Seen, binding: &Binding, nodes: &[Node]) {
    for node in nodes.iter().filter(|node| node.disk_total_bytes > 0) {
        let used = node.disk_total_bytes.saturating_sub(node.disk_free_bytes);
        let (_, most) = seen
            .entry(format!("{binding}/{}", node.name))
            .or_insert((used, used));
        *most = used.max(*most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peak_is_counted_from_the_first_look_and_a_node_that_says_nothing_is_left_out() {
        let node = |name: &str, total: u64, free: u64| Node {
            id: name.into(),
            name: name.into(),
            version: String::new(),
            roles: vec![],
            address: String::new(),
            heap_max_bytes: 0,
            disk_total_bytes: total,
            disk_free_bytes: free,
            watermark_low_bytes: 0,
            watermark_high_bytes: 0,
            watermark_flood_bytes: 0,
            plugins: vec![],
            more: vec![],
        };
        let binding = Binding::new("cluster.database").unwrap();
        let mut seen = Seen::new();
        for free in [60, 20, 80] {
            take_in(
                &mut seen,
                &binding,
                &[node("n1", 100, free), node("n2", 0, 0)],
            );
        }
        assert_eq!(
            seen,
            Seen::from([("cluster.database/n1".to_owned(), (40, 80))])
        );
    }
}
