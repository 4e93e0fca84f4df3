//! The changes that bring indices, and the templates that apply to them, back to what a snapshot holds.

use liftlock_types::facts::cluster::{Index, Template, TemplateKind};
use liftlock_types::{
    Binding, Capability as _, Change, IndexName, Planned, Read, ReadError, Scope, StepId,
    TemplateName,
};
use serde_json::Value;

use crate::inventory::{Inventory, all_templates, glob, scopes, typed};
use crate::repository::Repository;
use crate::restore::is_back;
use crate::trial::inventory_of;

/// In order: what stands in the way is deleted by the uuid it has now, then the indices are restored, then each
/// template that differs is put back as it was.
///
/// Where `of` deleted an index it is that one, and nothing where it still stands. A change of one index's content is
/// undone by that index as it was. All else (a vendor's program) is undone by everything that the snapshot's
/// patterns mean: indices and templates that came since are deleted. What an earlier step of the way back restored
/// already stays.
pub(crate) async fn changes(
    repository: &Repository,
    taken_by: &StepId,
    take: &Change,
    taken: &Value,
    of: &Change,
) -> Result<Vec<Planned>, ReadError> {
    let inventory = inventory_of(taken)?;
    let on = repository.cluster.binding();
    let mut changes = Vec::new();
    match of {
        Change::DeleteIndex { name, uuid } => {
            let there = indices(repository, name.as_str()).await?;
            if !there.iter().any(|index| index.uuid == *uuid) {
                let names = vec![name.clone()];
                back(repository, &inventory, taken_by, there, names, &mut changes).await?;
            }
            return Ok(changes);
        }
        Change::UpdateByQuery { index, .. }
        | Change::DeleteByQuery { index, .. }
        | Change::PutMapping { index, .. }
        | Change::PutSettings { index, .. }
        | Change::CreateDocument { index, .. }
        | Change::ReplaceDocument { index, .. }
        | Change::DeleteDocument { index, .. } => {
            let there = indices(repository, index.as_str()).await?;
            let names = vec![index.clone()];
            back(repository, &inventory, taken_by, there, names, &mut changes).await?;
            return Ok(changes);
        }
        _ => {}
    }
    let Change::TakeSnapshot {
        indices: patterns,
        except,
        ..
    } = take
    else {
        return Err(ReadError::Invalid(format!(
            "step `{taken_by}` takes no snapshot"
        )));
    };
    let (patterns, except) = (scopes(patterns)?, scopes(except)?);
    let family = |name: &str| {
        patterns.iter().any(|scope: &Scope| scope.matches(name))
            && !except.iter().any(|scope| scope.matches(name))
    };
    let mut there = Vec::new();
    for pattern in &patterns {
        there.extend(
            indices(repository, pattern.as_str())
                .await?
                .into_iter()
                .filter(|index| family(&index.name)),
        );
    }
    there.sort_by(|a, b| a.name.cmp(&b.name));
    there.dedup_by(|a, b| a.name == b.name);
    let names = inventory
        .indices
        .iter()
        .map(|index| IndexName::new(index.name.as_str()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| ReadError::Invalid(error.to_string()))?;
    back(repository, &inventory, taken_by, there, names, &mut changes).await?;
    templates(repository, on, &inventory, &family, &mut changes).await?;
    Ok(changes)
}

async fn indices(repository: &Repository, pattern: &str) -> Result<Vec<Index>, ReadError> {
    let read = Read::Indices {
        pattern: pattern.to_owned(),
    };
    typed(repository.cluster.read(&read).await?)
}

fn planned(binding: &Binding, change: Change) -> Planned {
    Planned {
        binding: binding.clone(),
        change,
        fills: Vec::new(),
    }
}

async fn back(
    repository: &Repository,
    inventory: &Inventory,
    taken_by: &StepId,
    there: Vec<Index>,
    mut names: Vec<IndexName>,
    changes: &mut Vec<Planned>,
) -> Result<(), ReadError> {
    let on = repository.cluster.binding();
    for index in there {
        if is_back(repository, inventory, &index).await? {
            names.retain(|name| name.as_str() != index.name);
            continue;
        }
        if let Ok(name) = IndexName::new(index.name) {
            let uuid = index.uuid;
            changes.push(planned(on, Change::DeleteIndex { name, uuid }));
        }
    }
    if !names.is_empty() {
        changes.push(planned(
            &repository.binding,
            Change::RestoreSnapshot {
                taken_by: taken_by.clone(),
                indices: names,
            },
        ));
    }
    Ok(())
}

async fn templates(
    repository: &Repository,
    on: &Binding,
    inventory: &Inventory,
    family: &impl Fn(&str) -> bool,
    changes: &mut Vec<Planned>,
) -> Result<(), ReadError> {
    // A component goes after what is made of it, and comes back before.
    const LAST_FIRST: [TemplateKind; 3] = [
        TemplateKind::Composable,
        TemplateKind::Legacy,
        TemplateKind::Component,
    ];
    let mut there: Vec<Template> = Vec::new();
    for kind in LAST_FIRST {
        there.extend(all_templates(repository, kind).await?);
    }
    let name_of = |template: &Template| {
        TemplateName::new(template.name.as_str())
            .map_err(|error| ReadError::Invalid(error.to_string()))
    };
    for template in &there {
        let had = inventory
            .templates
            .iter()
            .any(|had| had.kind == template.kind && had.name == template.name);
        // One that came since and is for this family alone.
        let applies_elsewhere = |template: &Template| {
            template.patterns.is_empty() && template.kind != TemplateKind::Component
        };
        let came = !had
            && !applies_elsewhere(template)
            && template.patterns.iter().all(|pattern| {
                family(pattern.trim_end_matches('*'))
                    || inventory
                        .indices
                        .iter()
                        .any(|index| pattern != "*" && glob(pattern, &index.name))
            });
        if came && family(&template.name) {
            changes.push(planned(
                on,
                Change::DeleteTemplate {
                    kind: template.kind,
                    name: name_of(template)?,
                },
            ));
        }
    }
    let first_first = LAST_FIRST.iter().rev().flat_map(|kind| {
        let templates = inventory.templates.iter();
        templates.filter(move |had| had.kind == *kind)
    });
    for had in first_first {
        let same = there.iter().any(|now| {
            now.kind == had.kind && now.name == had.name && now.body.value() == had.body.value()
        });
        if !same && family(&had.name) {
            changes.push(planned(
                on,
                Change::PutTemplate {
                    kind: had.kind,
                    name: name_of(had)?,
                    body: had.body.clone(),
                },
            ));
        }
    }
    Ok(())
}
