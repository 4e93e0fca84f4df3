//! A plugin for nothing but the nodes of a search cluster: the SDK's rolling upgrade without a product around it, so that
//! it is proved on both products and on every hop.

use std::collections::BTreeMap;

use liftlock_sdk::capability::Archived;
use liftlock_sdk::prelude::*;
use liftlock_sdk::rolling::{self, ALLOCATION, Rolling, View};

const CLUSTER: &str = "cluster.database";
const NODES: &str = "service.node-";
/// What ids of findings begin with.
const IDS: &str = "nodes";

struct Nodes;

/// The cluster as it stands.
struct Seen {
    identities: Vec<Identity>,
    nodes: Vec<Node>,
    indices: Vec<Index>,
    shards: Vec<Shard>,
    settings: BTreeMap<String, String>,
    archived: Vec<Archived>,
}

impl Seen {
    fn gather(site: &Site) -> Result<Self> {
        let cluster = Cluster::open(site, CLUSTER)?;
        let mut settings = BTreeMap::new();
        for scope in [SettingScope::Persistent, SettingScope::Transient] {
            let told = cluster.cluster_settings(scope)?;
            let told: BTreeMap<String, Value> = liftlock_sdk::serde_json::from_str(&told)?;
            settings.extend(told.into_iter().map(|(key, value)| {
                let text = value.as_str().map(ToOwned::to_owned);
                (key, text.unwrap_or_else(|| value.to_string()))
            }));
        }
        Ok(Self {
            identities: cluster.identities()?,
            nodes: cluster.nodes()?,
            indices: cluster.indices("*")?,
            shards: cluster.shards("*")?,
            archived: cluster.archived()?,
            settings,
        })
    }

    fn view(&self) -> View<'_> {
        View {
            identities: &self.identities,
            nodes: &self.nodes,
            shards: &self.shards,
            settings: &self.settings,
        }
    }

    /// Because of which there can be no plan.
    fn cannot(&self, site: &Site, rolling: &Rolling<'_>) -> Result<Vec<Finding>> {
        let mut found = rolling.cannot_reach(self.view(), &self.indices);
        found.extend(rolling.cannot(self.view(), &rolling::gather(site, NODES)?));
        Ok(found)
    }
}

fn rolling<'a>(site: &Site, target: &'a Target, flushed: &'a [String]) -> Result<Rolling<'a>> {
    Ok(Rolling {
        ids: IDS,
        to: &target.to,
        flushed,
        outages_accepted: site.option("outages")? == "accepted",
        settle_ms: 300_000,
        stays: "no node goes back to an older version",
    })
}

impl Plugin for Nodes {
    fn describe() -> Descriptor {
        let setting = "while a node is away its replicas are not built anew elsewhere";
        Descriptor {
            product: "search cluster".into(),
            name: "nodes".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            summary: "takes the nodes of a search cluster to another version".into(),
            // Wider than what can be done, so that what cannot is the module's to say.
            edges: [
                ("1", "2"),
                ("1", "3"),
                ("2", "3"),
                ("7", "8"),
                ("7", "9"),
                ("8", "9"),
            ]
            .map(|(from, to)| describe::edge(from, to, "node by node"))
            .into(),
            requests: vec![
                describe::one(CLUSTER, "the cluster")
                    .verb("cluster.observe", &[], "nodes, versions, settings")
                    .verb(
                        "cluster.read",
                        &["*"],
                        "every index and where its shards are",
                    )
                    .verb(
                        "cluster.flush",
                        &["*"],
                        "a node that is started again is soon whole",
                    )
                    .verb(
                        "cluster.raw-read",
                        &[rolling::EXPLAIN],
                        "why a shard that is waited for has no place",
                    )
                    .verb("cluster.set-cluster-setting", &[ALLOCATION], setting)
                    .verb("cluster.set-transient-setting", &[ALLOCATION], setting)
                    .verb(
                        "cluster.remove-archived-settings",
                        &["archived.*"],
                        "settings that the server put aside",
                    ),
                describe::many("service.node-*", "the nodes")
                    .verb("service.read", &[], "their state, labels and versions")
                    .verb("service.stop", &[], "a node is changed while it is down")
                    .verb(
                        "service.switch-artifact",
                        &["*"],
                        "it runs the new version then",
                    ),
            ],
            options: vec![describe::choice(
                "outages",
                &["refused", "accepted"],
                "`accepted`: indices without a replica may be away while their node is",
            )],
            findings: rolling::known(IDS)
                .chain(rolling::known_of_cluster(IDS))
                .collect(),
            more: Vec::new(),
        }
    }

    fn inspect(site: &Site) -> Result<Inventory> {
        let seen = Seen::gather(site)?;
        let versions = seen.view().versions();
        let parsed = |text: &&str| text.parse::<Version>().ok();
        Ok(Inventory {
            product: "search cluster".into(),
            version: versions
                .values()
                .filter_map(parsed)
                .min()
                .map(|it| it.to_string()),
            facts: vec![Fact::new("nodes", json!(versions))],
        })
    }

    fn check(site: &Site, run: &Run, target: &Target) -> Result<Vec<Finding>> {
        let seen = Seen::gather(site)?;
        let rolling = rolling(site, target, &[])?;
        let mut found = seen.cannot(site, &rolling)?;
        found.extend(rolling.outages(seen.view(), run.moment()));
        Ok(found)
    }

    fn plan(
        site: &Site,
        _: &Run,
        target: &Target,
        plan: &Plan<'_>,
    ) -> std::result::Result<(), Refusal> {
        let seen = Seen::gather(site)?;
        let all = ["*".to_owned()];
        let rolling = rolling(site, target, &all)?;
        let blockers = seen.cannot(site, &rolling)?;
        if !blockers.is_empty() {
            return Err(Refusal::Blocked(blockers));
        }
        let cluster = Cluster::open(site, CLUSTER)?;
        let archived: Vec<String> = seen.archived.iter().map(|one| one.key.clone()).collect();
        rolling.remove_archived(&cluster, &archived, plan)?;
        let bound = rolling::gather(site, NODES)?;
        let behind = rolling::behind(seen.view(), &bound, &target.to);
        rolling.take(site, &cluster, &behind, plan)?;
        plan.summary(&format!("{} of {} nodes", behind.len(), seen.nodes.len()));
        Ok(())
    }

    fn validate(site: &Site, _: &Run, target: &Target) -> Result<Vec<Finding>> {
        let seen = Seen::gather(site)?;
        Ok(rolling(site, target, &[])?.not_reached(seen.view()))
    }
}

impl Observing for Nodes {
    fn observe(
        site: &Site,
        _: &Run,
        name: &str,
        input: &Value,
        _: Option<&Value>,
    ) -> Result<Observation> {
        rolling::observe(site, IDS, CLUSTER, name, input)?
            .ok_or_else(|| Error::Invalid(format!("`{name}` is no condition of this plugin")))
    }
}

liftlock_sdk::export!(Nodes, observing);
