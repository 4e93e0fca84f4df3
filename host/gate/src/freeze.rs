//! From a proposal to a frozen plan: graph, order, grant, undo, facts.

use std::collections::{BTreeMap, BTreeSet};

use liftlock_types::rules::Class;
use liftlock_types::{
    Binding, Body, Change, Condition, Denied, Facts, Finding, Grant, NameError, PLAN_FORMAT,
    PLAN_STEPS_MAX, Phase, Plan, Planned, PluginRef, Proposal, ReadError, STEP_ID_PLANNED_MAX,
    Step, StepId, TargetIdentity, Undo,
};

use crate::objections::{objections, point_of_no_return};
use crate::state::is_of_host;
use crate::{Bindings, guard, iso, undo, unit};

/// What a plan says about itself.
#[derive(Debug, Clone)]
pub struct PlanContext {
    /// The site's name.
    pub site: String,
    /// The product.
    pub product: String,
    /// The plugin.
    pub plugin: PluginRef,
    /// Version found.
    pub from: Option<String>,
    /// Version to reach.
    pub to: String,
    /// Resolved options.
    pub options: BTreeMap<String, String>,
    /// Findings of the plugin's check.
    pub findings: Vec<Finding>,
}

/// A proposal that is no plan.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FreezeError {
    /// Too large.
    #[error("the plan has {0} steps, at most {PLAN_STEPS_MAX} are taken")]
    TooManySteps(usize),
    /// Two steps of one name.
    #[error("two steps have the id `{0}`")]
    Duplicate(StepId),
    /// An id that is the host's.
    #[error("step id `{id}` {why}")]
    BadId {
        /// The id.
        id: StepId,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A step names one that is not there, or not before it.
    #[error("step `{step}` names `{names}`, which {why}")]
    BadReference {
        /// The step.
        step: StepId,
        /// What it names.
        names: StepId,
        /// What is wrong with that.
        why: &'static str,
    },
    /// The steps wait for each other.
    #[error("the steps wait for each other in a circle: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join(" -> "))]
    Circle(Vec<StepId>),
    /// The policy says no.
    #[error("step `{step}`")]
    Denied {
        /// The step.
        step: StepId,
        /// The rule.
        #[source]
        denied: Denied,
    },
    /// More of a verb than granted.
    #[error("the plan as a whole")]
    TooMuch(#[source] Denied),
    /// No such binding.
    #[error("step `{step}` is on `{binding}`, which the site does not have")]
    NoBinding {
        /// The step.
        step: StepId,
        /// The binding.
        binding: Binding,
    },
    /// It cannot be taken back as it says.
    #[error("step `{step}`: {why}")]
    Undo {
        /// The step.
        step: StepId,
        /// Why not.
        why: String,
    },
    /// Two steps borrow one thing.
    #[error("steps `{first}` and `{second}` both borrow `{key}`")]
    BorrowedTwice {
        /// The first.
        first: StepId,
        /// The second.
        second: StepId,
        /// What.
        key: String,
    },
    /// A guard over steps that are not there.
    #[error("guard `{label}`: {why}")]
    Guard {
        /// The guard.
        label: String,
        /// What is wrong with it.
        why: String,
    },
    /// A value cannot be filled in.
    #[error("step `{step}`")]
    Fill {
        /// The step.
        step: StepId,
        /// Why.
        #[source]
        source: liftlock_types::FillError,
    },
    /// A fact could not be read.
    #[error("cannot read what step `{step}` rests on")]
    Facts {
        /// The step.
        step: StepId,
        /// Why.
        #[source]
        source: ReadError,
    },
    /// The target did not say who it is.
    #[error("cannot identify `{binding}`")]
    Identity {
        /// Which.
        binding: Binding,
        /// Why.
        #[source]
        source: ReadError,
    },
    /// A name of ours.
    #[error(transparent)]
    Name(#[from] NameError),
}

/// Checks a proposal and makes it a plan: in order, inside the grant, with the facts it rests on.
///
/// Reads the targets (identity, facts), changes nothing. The same proposal on the same targets gives the same
/// plan.
pub async fn freeze(
    proposal: Proposal,
    context: PlanContext,
    grant: &Grant,
    bindings: &Bindings,
) -> Result<Plan, FreezeError> {
    let steps = ordered(proposal.steps)?;
    authorise(&steps, grant)?;
    let steps = steps
        .into_iter()
        .map(with_undo)
        .collect::<Result<Vec<_>, _>>()?;
    check_references(&steps)?;
    check_borrowing(&steps)?;
    unit::check(&steps)?;
    guard::check(&proposal.guards, &steps, grant)?;
    undo::check(&steps, grant)?;
    let mut used = BTreeSet::new();
    for step in &steps {
        for binding in bindings_of(step)
            .into_iter()
            .chain(undone_on(step, bindings))
        {
            if !bindings.contains_key(&binding) {
                return Err(FreezeError::NoBinding {
                    step: step.id.clone(),
                    binding,
                });
            }
            used.insert(binding);
        }
        if let Some(planned) = step.change() {
            planned
                .filled(&iso(0), "run")
                .map_err(|source| FreezeError::Fill {
                    step: step.id.clone(),
                    source,
                })?;
        }
    }
    let frozen = with_facts(steps, bindings).await?;
    for guard in &proposal.guards {
        if let Some(binding) = read_by(&guard.condition) {
            if !bindings.contains_key(&binding) {
                return Err(FreezeError::NoBinding {
                    step: guard.from.clone(),
                    binding,
                });
            }
            used.insert(binding);
        }
    }
    let mut identities: BTreeMap<Binding, TargetIdentity> = BTreeMap::new();
    for binding in used {
        let identity =
            bindings[&binding]
                .identity()
                .await
                .map_err(|source| FreezeError::Identity {
                    binding: binding.clone(),
                    source,
                })?;
        identities.insert(binding, identity);
    }
    let mut findings = context.findings;
    findings.extend(objections(&frozen));
    Ok(Plan {
        format: PLAN_FORMAT,
        site: context.site,
        product: context.product,
        plugin: context.plugin,
        from: context.from,
        to: context.to,
        bindings: identities,
        grant: grant.hash(),
        options: context.options,
        summary: proposal.summary,
        point_of_no_return: point_of_no_return(&frozen),
        steps: frozen,
        guards: proposal.guards,
        findings,
        not_done: proposal.not_done,
        hand_overs: proposal.hand_overs,
    })
}

/// The other binding that the step's automatic undo acts on.
fn undone_on(step: &Step, bindings: &Bindings) -> Option<Binding> {
    let planned = step.change()?;
    bindings.get(&planned.binding)?.undone_on(&planned.change)
}

/// Each change with what it rests on, read with one question to each binding; behind a task only which objects are meant.
async fn with_facts(mut steps: Vec<Step>, bindings: &Bindings) -> Result<Vec<Step>, FreezeError> {
    let mut places: BTreeMap<Binding, Vec<usize>> = BTreeMap::new();
    for (place, step) in steps.iter().enumerate() {
        if let Some(planned) = step.change() {
            places
                .entry(planned.binding.clone())
                .or_default()
                .push(place);
        }
    }
    for (binding, places) in places {
        let changes: Vec<&Change> = places
            .iter()
            .filter_map(|place| Some(&steps[*place].change()?.change))
            .collect();
        let facts = bindings[&binding]
            .facts_of_each(&changes)
            .await
            .map_err(|(at, source)| FreezeError::Facts {
                step: steps[places[at]].id.clone(),
                source,
            })?;
        for (place, facts) in places.into_iter().zip(facts) {
            steps[place].facts = facts;
        }
    }
    let first_task = steps.iter().position(|step| {
        // One that takes or tries a backup changes nothing that the plan goes on with; if it does, the plan stops.
        step.phase != Phase::Protect
            && step
                .change()
                .is_some_and(|planned| matches!(planned.change, Change::RunTask { .. }))
    });
    for step in steps
        .iter_mut()
        .skip(first_task.map_or(usize::MAX, |at| at + 1))
    {
        step.facts = meant_only(std::mem::take(&mut step.facts));
    }
    Ok(steps)
}

/// Which object is meant, without its content: an operator's task before it may change any content, and what
/// stands behind it is there to put that right.
fn meant_only(facts: Facts) -> Facts {
    facts
        .into_iter()
        .filter(|(key, _)| key.ends_with("/uuid"))
        .collect()
}

/// By phase, then as the author wrote them, each after what it waits for.
fn ordered(steps: Vec<Step>) -> Result<Vec<Step>, FreezeError> {
    if steps.len() > PLAN_STEPS_MAX {
        return Err(FreezeError::TooManySteps(steps.len()));
    }
    let mut phases = BTreeMap::new();
    for step in &steps {
        let why = if is_of_host(&step.id) {
            Some("begins as the host's own do: `undo.`, `give-back.`, `cancel.`")
        } else if step.id.as_str().len() > STEP_ID_PLANNED_MAX {
            Some("is longer than 80 characters")
        } else {
            None
        };
        if let Some(why) = why {
            let id = step.id.clone();
            return Err(FreezeError::BadId { id, why });
        }
        if phases.insert(step.id.clone(), step.phase).is_some() {
            return Err(FreezeError::Duplicate(step.id.clone()));
        }
    }
    for step in &steps {
        for after in &step.after {
            let bad = |why| FreezeError::BadReference {
                step: step.id.clone(),
                names: after.clone(),
                why,
            };
            match phases.get(after) {
                None => return Err(bad("is no step of the plan")),
                Some(phase) if *phase > step.phase => return Err(bad("is in a later phase")),
                Some(_) => {}
            }
        }
    }
    let mut waiting: Vec<Step> = steps;
    waiting.sort_by_key(|step| step.phase);
    let turns = turns(&waiting)?;
    let mut turned: Vec<(usize, Step)> = turns.into_iter().zip(waiting).collect();
    turned.sort_by_key(|(turn, step)| (step.phase, *turn));
    Ok(turned.into_iter().map(|(_, step)| step).collect())
}

/// How often the steps of its phase are gone through, from the first to the last, before a step's turn comes: not
/// before the turn of what it waits for, and one later where that stands behind it.
///
/// Worked out from the waiting, and not by going through them: ten thousand steps that each wait for the next would
/// be gone through ten thousand times.
fn turns(waiting: &[Step]) -> Result<Vec<usize>, FreezeError> {
    let places: BTreeMap<&StepId, usize> = waiting
        .iter()
        .enumerate()
        .map(|(place, step)| (&step.id, place))
        .collect();
    let mut waiters: Vec<Vec<usize>> = vec![Vec::new(); waiting.len()];
    let mut open: Vec<usize> = vec![0; waiting.len()];
    for (place, step) in waiting.iter().enumerate() {
        for after in step.after.iter().filter_map(|after| places.get(after)) {
            waiters[*after].push(place);
            open[place] += 1;
        }
    }
    let mut turns = vec![0; waiting.len()];
    let mut ready: Vec<usize> = (0..waiting.len()).filter(|at| open[*at] == 0).collect();
    while let Some(at) = ready.pop() {
        for &waiter in &waiters[at] {
            if waiting[at].phase == waiting[waiter].phase {
                turns[waiter] = turns[waiter].max(turns[at] + usize::from(at > waiter));
            }
            open[waiter] -= 1;
            if open[waiter] == 0 {
                ready.push(waiter);
            }
        }
    }
    let left: Vec<&Step> = waiting
        .iter()
        .zip(&open)
        .filter(|(_, open)| **open > 0)
        .map(|(step, _)| step)
        .collect();
    if left.is_empty() {
        Ok(turns)
    } else {
        Err(FreezeError::Circle(circle(&left)))
    }
}

/// One circle among steps that all wait for each other, first step repeated at its end.
fn circle(waiting: &[&Step]) -> Vec<StepId> {
    let mut path: Vec<StepId> = Vec::new();
    let mut at = waiting.first().copied();
    while let Some(step) = at {
        if let Some(start) = path.iter().position(|id| *id == step.id) {
            path.push(step.id.clone());
            return path.split_off(start);
        }
        path.push(step.id.clone());
        at = step
            .after
            .iter()
            .find_map(|after| waiting.iter().copied().find(|step| step.id == *after));
    }
    path
}

fn authorise(steps: &[Step], grant: &Grant) -> Result<(), FreezeError> {
    for step in steps {
        let denied = |denied| FreezeError::Denied {
            step: step.id.clone(),
            denied,
        };
        for planned in step.change().into_iter().chain(undo_changes(step)) {
            grant.allow_change(planned).map_err(denied)?;
        }
        for condition in conditions(step) {
            grant.allow_condition(condition).map_err(denied)?;
        }
        if let Body::Capture { reads, .. } = &step.body {
            for reading in reads {
                grant
                    .allow_read(&reading.binding, &reading.read)
                    .map_err(denied)?;
            }
        }
        for rests in &step.rests_on {
            grant
                .allow_read(&rests.reading.binding, &rests.reading.read)
                .map_err(denied)?;
        }
    }
    grant
        .allow_amount(steps.iter().filter_map(Step::change))
        .map_err(FreezeError::TooMuch)
}

fn undo_changes(step: &Step) -> impl Iterator<Item = &Planned> {
    match &step.undo {
        Undo::Changes(changes) => changes.as_slice(),
        _ => &[],
    }
    .iter()
}

fn conditions(step: &Step) -> impl Iterator<Item = &Condition> {
    step.opens_when.iter().chain(&step.ends_when)
}

/// Normal form of the undo: what has no effect needs none; what the host can take back it does; all else must be
/// said by the plugin.
fn with_undo(mut step: Step) -> Result<Step, FreezeError> {
    let error = |why: String| FreezeError::Undo {
        step: step.id.clone(),
        why,
    };
    match step.change().map(|planned| &planned.change) {
        None => {
            step.undo = Undo::None {
                because: "it changes nothing".into(),
            }
        }
        Some(change) => {
            let rule = change.rule();
            if rule.destructive && matches!(step.undo, Undo::Stays { .. }) {
                return Err(error(format!(
                    "`{}` takes something away, so nothing of it can stay: name the snapshot step, or why there is no \
                     way back",
                    change.verb()
                )));
            }
            if matches!(step.undo, Undo::Automatic) && rule.automatic_undo.is_empty() {
                // What nothing shows may have left anything behind.
                let opaque = rule.class == Class::Opaque;
                if rule.destructive || rule.writes_schema || opaque || rule.borrows.is_some() {
                    return Err(error(format!(
                        "`{}` has no automatic undo: name the changes, the snapshot step, or why there is none",
                        change.verb()
                    )));
                }
                step.undo = Undo::None {
                    because: "it leaves nothing behind".into(),
                };
            }
        }
    }
    Ok(step)
}

fn check_references(steps: &[Step]) -> Result<(), FreezeError> {
    let mut before: BTreeMap<&StepId, &Step> = BTreeMap::new();
    for step in steps {
        let bad = |names: &StepId, why| FreezeError::BadReference {
            step: step.id.clone(),
            names: names.clone(),
            why,
        };
        let takes = |names: &StepId| {
            before
                .get(names)
                .and_then(|step| step.change())
                .is_some_and(|planned| matches!(planned.change, Change::TakeSnapshot { .. }))
        };
        if let Some(names) = step.change().and_then(|planned| planned.change.refers_to())
            && !takes(names)
        {
            return Err(bad(names, "is no step before it that takes a snapshot"));
        }
        if let Undo::ByRestore(names) = &step.undo
            && !takes(names)
        {
            return Err(bad(names, "is no step before it that takes a snapshot"));
        }
        if let Body::GiveBack { step: names } = &step.body {
            let borrows = before
                .get(names)
                .and_then(|step| step.change())
                .is_some_and(|planned| planned.change.rule().borrows.is_some());
            if !borrows {
                return Err(bad(names, "is no step before it that borrows something"));
            }
        }
        before.insert(&step.id, step);
    }
    Ok(())
}

/// One key, one holder.
fn check_borrowing(steps: &[Step]) -> Result<(), FreezeError> {
    let mut held: BTreeMap<String, &StepId> = BTreeMap::new();
    for step in steps {
        match &step.body {
            Body::Change(planned) if planned.change.rule().borrows.is_some() => {
                // Not its names: a server has a state and a weight, which are two things to borrow.
                let objects: Vec<String> = planned.change.objects().into_iter().collect();
                let key = format!("{} {}", planned.binding, objects.join(","));
                if let Some(first) = held.insert(key.clone(), &step.id) {
                    return Err(FreezeError::BorrowedTwice {
                        first: first.clone(),
                        second: step.id.clone(),
                        key,
                    });
                }
            }
            Body::GiveBack { step } => held.retain(|_, holder| *holder != step),
            _ => {}
        }
    }
    Ok(())
}

/// The binding that a condition reads; none where the plugin is asked.
fn read_by(condition: &Condition) -> Option<Binding> {
    (!condition.is_asked()).then(|| condition.binding.clone())
}

fn bindings_of(step: &Step) -> BTreeSet<Binding> {
    let mut used: BTreeSet<Binding> = conditions(step).filter_map(read_by).collect();
    used.extend(
        step.change()
            .into_iter()
            .chain(undo_changes(step))
            .map(|planned| planned.binding.clone()),
    );
    if let Body::Capture { reads, .. } = &step.body {
        used.extend(reads.iter().map(|reading| reading.binding.clone()));
    }
    used.extend(
        step.rests_on
            .iter()
            .map(|rests| rests.reading.binding.clone()),
    );
    used
}

/// How the steps of two plans differ, a line each; estimates (work, peak disk) are no difference.
pub fn differences(approved: &Plan, now: &Plan) -> Vec<String> {
    let plain = |step: &Step| Step {
        work: Vec::new(),
        peak_disk: BTreeMap::new(),
        ..step.clone()
    };
    let mut lines = Vec::new();
    for (binding, identity) in &approved.bindings {
        match now.bindings.get(binding) {
            Some(other) if other.fingerprint == identity.fingerprint => {}
            Some(other) => lines.push(format!(
                "`{binding}` is another target: planned on {} ({}), now {} ({})",
                identity.product, identity.fingerprint, other.product, other.fingerprint
            )),
            None => lines.push(format!("`{binding}` is not used any more")),
        }
    }
    // Before the steps themselves: where the order is another one, so is what follows from it.
    let in_both = |one: &Plan, other: &Plan| -> Vec<StepId> {
        let ids = one.steps.iter().map(|step| step.id.clone());
        ids.filter(|id| other.step(id).is_some()).collect()
    };
    let (then, today) = (in_both(approved, now), in_both(now, approved));
    if let Some((then, today)) = then.iter().zip(&today).find(|(then, today)| then != today) {
        lines.push(format!(
            "the order of the steps differs: `{today}` comes now where `{then}` was"
        ));
    }
    for step in &approved.steps {
        match now.step(&step.id) {
            None => lines.push(format!("step `{}` is not needed any more", step.id)),
            Some(other) if plain(other) != plain(step) => {
                lines.push(format!(
                    "step `{}` differs: {}",
                    step.id,
                    first_difference(step, other)
                ));
            }
            Some(_) => {}
        }
    }
    for step in &now.steps {
        if approved.step(&step.id).is_none() {
            lines.push(format!("step `{}` is new: {}", step.id, step.title));
        }
    }
    for guard in &approved.guards {
        if !now.guards.contains(guard) {
            lines.push(format!("guard `{}` differs", guard.condition.label));
        }
    }
    if now.guards.len() > approved.guards.len() {
        lines.push("there are more guards".into());
    }
    lines
}

fn first_difference(approved: &Step, now: &Step) -> String {
    for (key, then) in &approved.facts {
        match now.facts.get(key) {
            Some(value) if value == then => {}
            value => {
                let value = value.map_or_else(|| "nothing".to_owned(), ToString::to_string);
                return format!("{key} was {then}, is {value}");
            }
        }
    }
    let text = |value: &Step| serde_json::to_value(value).unwrap_or_default();
    let (then, now) = (text(approved), text(now));
    if let (Some(then), Some(now)) = (then.as_object(), now.as_object()) {
        for key in then.keys().chain(now.keys()) {
            if !matches!(key.as_str(), "work" | "peak_disk") && then.get(key) != now.get(key) {
                let short = |value: Option<&serde_json::Value>| {
                    value.map_or_else(
                        || "nothing".to_owned(),
                        |value| value.to_string().chars().take(160).collect(),
                    )
                };
                return format!(
                    "{key} was {}, is {}",
                    short(then.get(key)),
                    short(now.get(key))
                );
            }
        }
    }
    "in a detail".into()
}
