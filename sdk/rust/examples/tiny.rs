//! A complete plugin: product `acme` keeps one index, and version 2 does without the old one beside it.

use liftlock_sdk::prelude::*;

struct Acme;

impl Plugin for Acme {
    fn describe() -> Descriptor {
        Descriptor {
            product: "acme".into(),
            name: "acme-upgrade".into(),
            version: "0.1.0".into(),
            summary: "takes acme from 1 to 2".into(),
            edges: vec![describe::edge("1", "2", "drops the old index")],
            requests: vec![
                describe::one("cluster.database", "acme keeps its data there")
                    .verb("cluster.read", &["{prefix}-*"], "to find its indices")
                    .verb_at_most(
                        "cluster.delete-index",
                        &["{prefix}-old"],
                        1,
                        "2 is without it",
                    ),
                describe::one("snapshot.backups", "the way back")
                    .verb("snapshot.take", &["{prefix}-*"], "before the deletion")
                    .verb("snapshot.prove", &[], "no backup without a trial restore"),
            ],
            options: vec![describe::text(
                "prefix",
                "acme",
                "what its index names begin with",
            )],
            findings: vec![],
            more: vec![],
        }
    }

    fn inspect(site: &Site) -> Result<Inventory> {
        let old = old_index(site)?;
        Ok(Inventory {
            product: "acme".into(),
            version: Some(if old.is_some() { "1" } else { "2" }.into()),
            facts: old
                .iter()
                .map(|index| Fact::new("old-index-docs", index.docs))
                .collect(),
        })
    }

    fn check(site: &Site, _: &Run, _: &Target) -> Result<Vec<Finding>> {
        let blocked = old_index(site)?.filter(|index| !index.blocks.is_empty());
        Ok(blocked
            .map(|index| {
                Finding::blocker("acme.index-blocked")
                    .subject(&index.name)
                    .what(format!("it has the block {}", index.blocks.join(", ")))
                    .why("a blocked index cannot be deleted")
                    .remedy("take the block off")
            })
            .into_iter()
            .collect())
    }

    fn plan(site: &Site, _: &Run, _: &Target, plan: &Plan<'_>) -> std::result::Result<(), Refusal> {
        let Some(old) = old_index(site)? else {
            plan.summary("nothing to do: the old index is gone");
            return Ok(());
        };
        let database = Cluster::open(site, "cluster.database")?;
        let backups = Repository::open(site, "snapshot.backups")?;
        let all = format!("{}-*", site.option("prefix")?);
        let snapshot = plan
            .step("snapshot", Phase::Protect, "take a snapshot")
            .does(backups.take("acme-before-2", &[all], &[]))
            .add()?;
        plan.step("prove", Phase::Protect, "restore it on trial")
            .does(backups.prove(&snapshot))
            .add()?;
        plan.step("delete-old", Phase::Contract, "delete the old index")
            .because("acme 2 does not read it")
            .does(database.delete_index(&old.name, &old.uuid))
            .undo_by_restore(&snapshot)
            .add()?;
        Ok(())
    }

    fn validate(site: &Site, _: &Run, _: &Target) -> Result<Vec<Finding>> {
        let left = old_index(site)?;
        Ok(left
            .map(|index| {
                Finding::blocker("acme.index-left")
                    .subject(index.name)
                    .what("the old index is still there")
            })
            .into_iter()
            .collect())
    }
}

fn old_index(site: &Site) -> Result<Option<Index>> {
    let name = format!("{}-old", site.option("prefix")?);
    let found = Cluster::open(site, "cluster.database")?
        .indices(&name)
        .found()?;
    Ok(found.and_then(|mut indices| indices.pop()))
}

liftlock_sdk::export!(Acme);
