//! What this plugin says of itself and asks for.

use liftlock_sdk::prelude::*;
use liftlock_sdk::rolling::ALLOCATION;

use crate::by_snapshot::asks;
use crate::check::TAKEN_OFF;
use crate::known;
use crate::seen::RAW;

/// The search cluster that Kuzzle keeps its data in.
pub(crate) const STORAGE: &str = "cluster.storage";
/// Where snapshots of it go.
pub(crate) const BACKUPS: &str = "snapshot.backups";
/// What the binding of a node's service begins with.
pub(crate) const NODES: &str = "service.node-";
/// What the bindings of Kuzzles begin with: `service.kuzzle`, `service.kuzzle-2`.
pub(crate) const KUZZLES: &str = "service.kuzzle";
/// Likewise the directories with their configuration.
pub(crate) const CONFIGURATIONS: &str = "disk.kuzzle";
/// Likewise their APIs.
pub(crate) const ENDPOINTS: &str = "endpoint.kuzzle";

/// Collections are indices that begin so: public ones, and Kuzzle's and its plugins' own.
pub(crate) const COLLECTIONS: [&str; 2] = ["&*", "%*"];
/// The aliases that name collections.
pub(crate) const ALIASES: &str = "@*";
/// The index beside these that the operator names. A whole option, since only such a one may be empty.
pub(crate) const ALSO: &str = "{also}";

/// Kuzzle's deep health. It is written with a capital C: the same in small letters looks at nothing and always says 200.
pub(crate) const HEALTH: &str = "/_healthCheck";
/// What Kuzzle says of itself and of its storage.
pub(crate) const SERVER_INFO: &str = "/_serverInfo";

pub(crate) fn descriptor() -> Descriptor {
    Descriptor {
        product: "Kuzzle".into(),
        name: "kuzzle".into(),
        version: env!("CARGO_PKG_VERSION").into(),
        summary: "takes the storage of Kuzzle from Elasticsearch 7.17 to 8, node by node or by a snapshot into a new \
                  cluster, then Kuzzle itself to it"
            .into(),
        edges: vec![describe::edge(
            "7.17",
            "8",
            "versions are those of Elasticsearch; Kuzzle stays what it is and is told of the new one",
        )],
        requests: [
            storage(),
            backups(),
            nodes(),
            kuzzles(),
            configurations(),
            endpoints(),
        ]
        .into_iter()
        .chain(asks::requests())
        .collect(),
        options: options().into_iter().chain(asks::options()).collect(),
        findings: known::findings(),
        more: vec![("vendor".into(), "Kuzzle".into())],
    }
}

fn storage() -> Request {
    let ours = [COLLECTIONS[0], COLLECTIONS[1], ALSO];
    describe::one(STORAGE, "the search cluster that Kuzzle keeps its data in")
        .verb(
            "cluster.observe",
            &[],
            "its nodes and their versions, health, settings, deprecations",
        )
        .verb(
            "cluster.read",
            &["*"],
            "every index of the cluster: one that is too old keeps the new version from starting, and a node's stop \
             concerns all that it holds",
        )
        .verb(
            "cluster.raw-read",
            &RAW,
            "settings that its nodes were started with, and plugins: some keep the new version from starting; why a shard \
             that is waited for has no place",
        )
        .verb(
            "cluster.read-documents",
            &ours,
            "one checksum for each collection, before and after; documents themselves are not looked at",
        )
        .verb("cluster.flush", &ours, "a node that is started again is soon whole")
        .verb(
            "cluster.set-cluster-setting",
            &[ALLOCATION],
            "while a node is away its replicas are not built anew elsewhere",
        )
        .verb(
            "cluster.set-transient-setting",
            &[ALLOCATION],
            "the same, where the operator has set it for a time",
        )
        .verb(
            "cluster.put-cluster-settings",
            &TAKEN_OFF,
            "method `rolling`: settings that the new version does not know are taken off",
        )
        .verb(
            "cluster.remove-archived-settings",
            &["archived.*"],
            "settings that the server put aside; with one of them it can refuse every other",
        )
}

fn backups() -> Request {
    describe::optional(BACKUPS, "a snapshot repository that every node reaches")
        .verb(
            "snapshot.read",
            &[],
            "whether all nodes reach it, and whether a snapshot runs",
        )
        .verb(
            "snapshot.take",
            &[COLLECTIONS[0], COLLECTIONS[1], ALSO],
            "there is no way down: only what was taken before leads back",
        )
        .verb(
            "snapshot.register",
            &[],
            "method `snapshot`: the store, where the option `repository` says how",
        )
        .verb(
            "snapshot.prove",
            &[],
            "a backup that was never restored is none",
        )
}

fn nodes() -> Request {
    describe::many(
        "service.node-*",
        "the nodes of the cluster; the label `node` of each is its `node.name`",
    )
    .verb("service.read", &[], "their state, labels and versions")
    .verb("service.stop", &[], "a node is changed while it is down")
    .verb(
        "service.switch-artifact",
        &["*"],
        "it runs the new version then",
    )
}

fn kuzzles() -> Request {
    describe::many("service.kuzzle*", "each Kuzzle, so that it can be stopped")
        .verb("service.read", &[], "whether it runs")
        .verb(
            "service.stop",
            &[],
            "it must not write while its storage changes, and reads its configuration when it starts",
        )
        .verb(
            "service.restart",
            &[],
            "where it went on meanwhile, it reads its configuration anew",
        )
}

fn configurations() -> Request {
    describe::many(
        "disk.kuzzle*",
        "the directory with the configuration of a Kuzzle: `disk.kuzzle` for `service.kuzzle`",
    )
    .verb(
        "disk.read",
        &["{configuration-file}"],
        "which Elasticsearch it is told of",
    )
    .verb("disk.keep", &["{configuration-file}"], "a copy of it")
    .verb(
        "disk.edit",
        &["{configuration-file}"],
        "`majorVersion` becomes the text \"8\"",
    )
}

fn endpoints() -> Request {
    describe::many("endpoint.kuzzle*", "the API of each Kuzzle, with a token").verb(
        "endpoint.read",
        &[HEALTH, SERVER_INFO],
        "its deep health; its version, and that of the storage as it sees it",
    )
}

fn options() -> Vec<OptionSpec> {
    vec![
        describe::choice(
            "method",
            &["rolling", "snapshot"],
            "`rolling`: the nodes of the cluster get the new version one after another. `snapshot`: a new cluster gets \
             a snapshot of the old one, which stays as it is",
        ),
        describe::text(
            "also",
            "",
            "the name of a further index that belongs to this site, beside those that begin with `&` and `%`; empty: none does",
        ),
        describe::text(
            "configuration-file",
            ".kuzzlerc",
            "the file in `disk.kuzzle` that says `services.storageEngine.majorVersion`",
        ),
        describe::choice(
            "meanwhile",
            &["stopped", "serving"],
            "method `rolling`: Kuzzle is `stopped` until every node is new; or it goes on `serving` in mode 7, where \
             requests fail that meet a node while it stops, and collections cannot be made",
        ),
        describe::choice(
            "outages",
            &["refused", "accepted"],
            "method `rolling`: `accepted`: collections without a replica cannot be read while their node is down, nor \
             any where the cluster has no elected manager for a moment",
        ),
        describe::number(
            "quiet-seconds",
            5,
            "how long nothing may be written before stopped Kuzzles are believed to be stopped",
        ),
        describe::number(
            "settle-seconds",
            3_600,
            "method `rolling`: how long the shards of a node that is back are waited for",
        ),
        describe::number(
            "watch-seconds",
            60,
            "how long Kuzzle and its storage must stay well at the end, without a break; then the run ends with what \
             the nodes counted meanwhile",
        ),
    ]
}
