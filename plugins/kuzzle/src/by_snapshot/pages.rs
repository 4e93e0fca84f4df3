//! What each finding of this method means, its remedy, and where that is known from.

/// As in `known`: id without `kuzzle.`, what it means, remedy, source; sorted by id.
pub(crate) const PAGES: &[[&str; 4]] = &[
    [
        "address",
        "Kuzzle's configuration cannot be told of the new cluster: the address of the old one is not known, or does not stand exactly once in it, in quotes.",
        "set the options `address` and `new-address`; a list of nodes, or an address in a variable of the environment, has to become one address in the file first",
        "a rule of this plugin",
    ],
    [
        "closed-index",
        "A closed index of the site. It is not in a snapshot, and so it would be missing on the new cluster.",
        "open it, or delete it if nobody needs it",
        "the guide of Elasticsearch on snapshots",
    ],
    [
        "collections-differ",
        "After the run a collection of the new cluster was not what the old one held.",
        "`liftlock rollback` leads back to the old cluster, which was not touched; then look at the collections that are named",
        "a rule of this plugin",
    ],
    [
        "collections-same",
        "Every collection of the new cluster is what it was on the old one: its alias, its mapping, its documents.",
        "nothing: it is told so that the record has it",
        "a rule of this plugin",
    ],
    [
        "new-is-the-old",
        "Both bindings lead to one cluster.",
        "let `cluster.new` name the new cluster",
        "a rule of this plugin",
    ],
    [
        "new-not-bound",
        "Method `snapshot` needs the new cluster and the store of the snapshots, as either cluster sees it.",
        "bind `cluster.new`, `snapshot.backups` and `snapshot.new` in site.toml; or set the option `method` to `rolling`",
        "a rule of this plugin",
    ],
    [
        "new-not-empty",
        "The new cluster has indices of the site's names: a Kuzzle was started on it, or an earlier attempt left them. The restore would be refused, or Kuzzle would keep its new, empty users and another secret for its tokens.",
        "make sure that no Kuzzle is told of the new cluster; then delete these indices there, one by one and by name: the server takes no pattern",
        "runs of real servers: Elasticsearch 7.17.15, 8.14.1 and 8.16.6, Kuzzle 2.56",
    ],
    [
        "new-not-well",
        "The new cluster is not well before anything is on it.",
        "look at its nodes and their disks",
        "a rule of this plugin",
    ],
    [
        "new-of-another-version",
        "A node of the new cluster does not have the version that the plan goes to.",
        "give it that version, or name the version that all its nodes have",
        "a rule of this plugin",
    ],
    [
        "repository-may-be-written",
        "Nothing shows whether the store is registered read-only on the new cluster. Two clusters that write to one store destroy it.",
        "look at `GET /_snapshot/NAME` there: `readonly` must be true; or set the option `repository`, and the plan registers it so",
        "the guide of Elasticsearch on snapshots",
    ],
    [
        "repository-not-reached",
        "A cluster does not reach the store of the snapshots with all its nodes, or it is not registered.",
        "mount it at each node, below a folder of `path.repo`, readable by the server's user; or set the option `repository`, and the plan registers it",
        "the guide of Elasticsearch on snapshots",
    ],
    [
        "settings-stay",
        "The old cluster has settings or templates of somebody's that the new one does not have so. A snapshot of collections does not bring them along; the run keeps them in its journal.",
        "set those that are still needed on the new cluster, in its own terms; some were removed in 8",
        "the guide of Elasticsearch on snapshots",
    ],
];
