//! What a rollback would do, restore, lose and leave: told before anything is sent.

use std::collections::{BTreeMap, BTreeSet};

use liftlock_gate::{RunState, iso, rollback_plan};
use liftlock_types::{Binding, Change, Plan, Read, Step, StepId, Undo, UnitName};
use schemars::JsonSchema;
use serde::Serialize;

use crate::connect::Targets;
use crate::escape;
use crate::output::{Paint, Style};
use crate::view::{Table, amount, count};

/// Most indices that are named one by one.
const INDICES_MAX: usize = 20;

/// Columns of the table of steps.
const COLUMNS: [usize; 3] = [4, 48, 50];

/// A rollback before it begins.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct UndoingData {
    /// The run.
    pub(crate) run: String,
    /// The unit that alone goes back; none: all of it.
    pub(crate) unit: Option<String>,
    /// Why it goes back already; none: it does not yet.
    pub(crate) begun: Option<String>,
    /// The upgrade's point of no return was passed: something can only be restored.
    pub(crate) past_no_return: bool,
    /// In the order in which they are taken back.
    pub(crate) steps: Vec<UndoData>,
    /// Snapshots that are restored from: name, where, when taken.
    pub(crate) snapshots: Vec<String>,
    /// What starts again at the end.
    pub(crate) starts: Vec<String>,
    /// What is lost: written since, into what is restored or removed.
    pub(crate) lost: Vec<String>,
    /// What differs from before and is neither restored nor removed.
    pub(crate) differs: Vec<String>,
    /// What stays.
    pub(crate) stays: Vec<String>,
    /// Changes that were under way: what became of them is looked for first, and what is there is taken back too.
    pub(crate) under_way: Vec<String>,
    /// Changes whose outcome a person must decide first.
    pub(crate) doubts: Vec<String>,
}

/// One step to be taken back.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct UndoData {
    /// From 1.
    number: usize,
    /// The step.
    step: String,
    /// Its title.
    title: String,
    /// How.
    how: String,
    /// It cannot be taken back.
    pub(crate) is_impossible: bool,
}

/// Documents of each index of each binding.
type Documents = BTreeMap<(Binding, String), u64>;

/// Reads the targets, changes nothing.
pub(crate) async fn look(
    state: &RunState,
    plan: &Plan,
    earlier: &[Plan],
    unit: Option<&UnitName>,
    targets: &Targets,
) -> UndoingData {
    let step_of = |id: &StepId| {
        std::iter::once(plan)
            .chain(earlier.iter().rev())
            .find_map(|plan| plan.step(id))
    };
    let is_meant =
        |id: &StepId| unit.is_none() || step_of(id).is_some_and(|step| step.unit.as_ref() == unit);
    let mut undone = rollback_plan(state, plan, earlier);
    undone.retain(|undo| is_meant(&undo.of));
    let steps: Vec<&Step> = undone.iter().filter_map(|undo| step_of(&undo.of)).collect();
    let restored = restored(&steps);
    let removed = removed(&steps);
    let then = kept_before(state);
    let now = documents_now(state, targets, &restored, &removed).await;
    let (lost, differs) = compare(state, &then, &now, &restored, &removed);
    UndoingData {
        run: state.run.clone(),
        unit: unit.map(ToString::to_string),
        begun: going_back(state, unit).map(escape::block),
        past_no_return: steps
            .iter()
            .any(|step| matches!(step.undo, Undo::ByRestore(_))),
        steps: undone
            .iter()
            .enumerate()
            .map(|(at, undo)| UndoData {
                number: at + 1,
                step: undo.of.to_string(),
                title: escape::line(&undo.title),
                how: escape::line(&undo.how),
                is_impossible: undo.impossible,
            })
            .collect(),
        snapshots: snapshots(state, &steps),
        starts: starts(&steps),
        lost,
        differs,
        stays: stays(state),
        under_way: state
            .steps
            .iter()
            .filter(|(id, step)| step.open().is_some() && is_meant(id))
            .map(|(id, _)| id.to_string())
            .collect(),
        doubts: state
            .doubts()
            .iter()
            .filter(|id| is_meant(id))
            .map(ToString::to_string)
            .collect(),
    }
}

/// Why it goes back already.
fn going_back<'a>(state: &'a RunState, unit: Option<&UnitName>) -> Option<&'a str> {
    match (unit, &state.unit_back) {
        (Some(unit), Some((going, reason))) if going == unit => Some(reason),
        (None, _) => state.rolling_back.as_deref(),
        _ => None,
    }
}

/// Indices that come back from a snapshot.
fn restored(steps: &[&Step]) -> BTreeSet<(Binding, String)> {
    steps
        .iter()
        .filter(|step| matches!(step.undo, Undo::ByRestore(_)))
        .filter_map(|step| step.change())
        .flat_map(|planned| {
            let names = planned.change.names();
            names
                .into_iter()
                .map(|name| (planned.binding.clone(), name))
        })
        .collect()
}

/// Indices that the run made, and how many documents it put there by name.
fn removed(steps: &[&Step]) -> BTreeMap<(Binding, String), u64> {
    let mut made: BTreeMap<(Binding, String), u64> = steps
        .iter()
        .filter_map(|step| step.change())
        .filter_map(|planned| match &planned.change {
            Change::CreateIndex { name, .. } => {
                Some(((planned.binding.clone(), name.to_string()), 0))
            }
            _ => None,
        })
        .collect();
    for planned in steps.iter().filter_map(|step| step.change()) {
        if let Change::CreateDocument { index, .. } = &planned.change
            && let Some(ours) = made.get_mut(&(planned.binding.clone(), index.to_string()))
        {
            *ours += 1;
        }
    }
    made
}

/// What the captures of before the first change say.
fn kept_before(state: &RunState) -> Documents {
    let answers = state
        .captured_before
        .iter()
        .filter_map(|name| state.captures.get(name))
        .flatten();
    let mut out = Documents::new();
    for captured in answers {
        if let (Read::Indices { .. }, Ok(answer)) = (&captured.reading.read, &captured.answer) {
            out.extend(documents(&captured.reading.binding, answer));
        }
    }
    out
}

/// The same lists again, and what is to be restored or removed. A target that gives no answer says nothing here; the
/// rollback itself does not begin without it.
async fn documents_now(
    state: &RunState,
    targets: &Targets,
    restored: &BTreeSet<(Binding, String)>,
    removed: &BTreeMap<(Binding, String), u64>,
) -> Documents {
    let kept = state
        .captured_before
        .iter()
        .filter_map(|name| state.captures.get(name))
        .flatten()
        .map(|captured| &captured.reading);
    let mut reads: Vec<(Binding, Read)> = kept
        .filter(|reading| matches!(reading.read, Read::Indices { .. }))
        .map(|reading| (reading.binding.clone(), reading.read.clone()))
        .collect();
    for (binding, name) in restored.iter().chain(removed.keys()) {
        let pattern = name.clone();
        reads.push((binding.clone(), Read::Indices { pattern }));
    }
    let mut out = Documents::new();
    for (binding, read) in reads {
        if let Some(capability) = targets.bindings.get(&binding)
            && let Ok(answer) = capability.read(&read).await
        {
            out.extend(documents(&binding, &answer));
        }
    }
    out
}

fn documents(binding: &Binding, answer: &serde_json::Value) -> Documents {
    let entries = answer.as_array().into_iter().flatten();
    entries
        .filter_map(|entry| {
            let name = entry.get("name")?.as_str()?;
            let docs = entry.get("docs")?.as_u64()?;
            Some(((binding.clone(), name.to_owned()), docs))
        })
        .collect()
}

fn compare(
    state: &RunState,
    then: &Documents,
    now: &Documents,
    restored: &BTreeSet<(Binding, String)>,
    removed: &BTreeMap<(Binding, String), u64>,
) -> (Vec<String>, Vec<String>) {
    let mut lost = Vec::new();
    let mut differs = Vec::new();
    for (place @ (_, name), docs) in now {
        let name = escape::line(name);
        if let Some(ours) = removed.get(place) {
            let others = docs.saturating_sub(*ours);
            if others == 0 {
                continue;
            }
            lost.push(format!(
                "{name} is removed with its {}: {} of this run, {} of others",
                count_of(*docs),
                amount(*ours),
                amount(others)
            ));
            continue;
        }
        let before = then.get(place).copied();
        match (restored.contains(place), before) {
            (true, Some(before)) => lost.push(format!(
                "{name} is restored as it was: {} then, {} now",
                count_of(before),
                amount(*docs)
            )),
            (true, None) => lost.push(format!(
                "{name} is restored as it was; its {} of now are lost",
                count_of(*docs)
            )),
            (false, Some(before)) if before != *docs => differs.push(format!(
                "{name}: {} before, {} now",
                count_of(before),
                amount(*docs)
            )),
            (false, _) => {}
        }
    }
    if then.is_empty() && state.has_sent() {
        differs
            .push("what was written since cannot be told: the run kept no list of before".into());
    }
    for list in [&mut lost, &mut differs] {
        let more = list.len().saturating_sub(INDICES_MAX);
        list.truncate(INDICES_MAX);
        if more > 0 {
            list.push(format!("and {more} more"));
        }
    }
    (lost, differs)
}

fn count_of(docs: u64) -> String {
    count(
        usize::try_from(docs).unwrap_or(usize::MAX),
        "document",
        "documents",
    )
}

fn snapshots(state: &RunState, steps: &[&Step]) -> Vec<String> {
    let taken: BTreeSet<&StepId> = steps
        .iter()
        .filter_map(|step| match &step.undo {
            Undo::ByRestore(taken_by) => Some(taken_by),
            _ => None,
        })
        .collect();
    taken
        .into_iter()
        .filter_map(|id| {
            let step = state.step(id);
            let last = step.last()?;
            let outcome = last.outcome.as_ref()?;
            let name = outcome
                .evidence
                .get("snapshot")
                .and_then(|name| name.as_str())?;
            Some(format!(
                "{} in {}, taken {}",
                escape::line(name),
                outcome.binding,
                iso(last.intent_at_ms)
            ))
        })
        .collect()
}

fn starts(steps: &[&Step]) -> Vec<String> {
    steps
        .iter()
        .filter_map(|step| step.change())
        .filter(|planned| matches!(planned.change, Change::StopService {}))
        .map(|planned| planned.binding.to_string())
        .collect()
}

/// What a run adds that its rollback leaves on purpose.
fn stays(state: &RunState) -> Vec<String> {
    crate::runs::kept(state)
}

/// As text.
pub(crate) fn text(data: &UndoingData, paint: Paint) -> String {
    let mut out = format!(
        "{}\n",
        paint.text(
            Style::Strong,
            &format!(
                "Rollback of {}run {}: {} to take back",
                data.unit
                    .as_ref()
                    .map_or_else(String::new, |unit| format!("unit {unit} of ")),
                data.run,
                count(data.steps.len(), "step", "steps")
            )
        )
    );
    if let Some(reason) = &data.begun {
        out.push_str(&format!("  it had begun already, because: {reason}\n"));
    }
    let mut table = Table::new(&["#", "step", "how"]).within(&COLUMNS);
    for undo in &data.steps {
        table.row([
            undo.number.to_string(),
            undo.title.clone(),
            undo.how.clone(),
        ]);
    }
    let mut blocks = table.blocks(1).into_iter();
    out.extend(blocks.by_ref().take(1));
    for (undo, block) in data.steps.iter().zip(blocks) {
        out.push_str(&if undo.is_impossible {
            format!("{}\n", paint.text(Style::Bad, block.trim_end_matches('\n')))
        } else {
            block
        });
    }
    let mut part = |label: &str, lines: &[String], style: Option<Style>| {
        for line in lines {
            let text = format!("  {label:<14} {line}");
            out.push_str(&match style {
                Some(style) => format!("{}\n", paint.text(style, &text)),
                None => format!("{text}\n"),
            });
        }
    };
    let under_way: Vec<String> = data
        .under_way
        .iter()
        .map(|step| {
            format!("{step}: what became of it is settled first; what is there is taken back too")
        })
        .collect();
    part("under way", &under_way, Some(Style::Warn));
    part("restored from", &data.snapshots, None);
    if data.lost.is_empty() {
        part("lost", &["nothing that is known".into()], None);
    } else {
        part("LOST", &data.lost, Some(Style::Bad));
    }
    part("differs", &data.differs, Some(Style::Warn));
    if !data.differs.is_empty() {
        part(
            "",
            &["the rollback leaves that, compares at its end and ends with 24 if it differs still".into()],
            None,
        );
    }
    part("starts again", &data.starts, None);
    part("stays", &data.stays, None);
    part("to be decided", &data.doubts, Some(Style::Bad));
    out.push_str(if data.unit.is_some() {
        "  then           the run stands; resuming it does the unit anew\n"
    } else {
        "  then           everything kept before the first change is read again and compared; the claim is taken off\n"
    });
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(name: &str) -> (Binding, String) {
        (Binding::new("cluster.database").unwrap(), name.into())
    }

    #[test]
    fn what_is_lost_and_what_only_differs_are_told_apart() {
        let then: Documents = [(place("a"), 5), (place("b"), 7), (place("c"), 1)].into();
        let now: Documents = [
            (place("a"), 6),
            (place("b"), 9),
            (place("c"), 1),
            (place("made"), 4),
        ]
        .into();
        let restored = BTreeSet::from([place("a")]);
        let removed = BTreeMap::from([(place("made"), 3)]);
        let state = RunState::new("r");
        let (lost, differs) = compare(&state, &then, &now, &restored, &removed);
        assert_eq!(
            lost,
            [
                "a is restored as it was: 5 documents then, 6 now",
                "made is removed with its 4 documents: 3 of this run, 1 of others"
            ]
        );
        assert_eq!(differs, ["b: 7 documents before, 9 now"]);
    }

    #[test]
    fn the_screen_names_what_cannot_be_taken_back_and_that_nothing_else_is_lost() {
        let data = UndoingData {
            run: "r-1".into(),
            unit: None,
            begun: None,
            past_no_return: false,
            steps: vec![UndoData {
                number: 1,
                step: "a".into(),
                title: "drop it".into(),
                how: "it cannot be taken back: gone".into(),
                is_impossible: true,
            }],
            snapshots: vec![],
            starts: vec!["service.optimize".into()],
            lost: vec![],
            differs: vec![],
            stays: vec![],
            under_way: vec!["b".into()],
            doubts: vec![],
        };
        let text = text(&data, Paint::plain());
        assert!(
            text.contains("drop it") && text.contains("cannot be taken back: gone"),
            "{text}"
        );
        assert!(
            text.contains("lost           nothing that is known"),
            "{text}"
        );
        assert!(text.contains("under way      b: "), "{text}");
        assert!(text.contains("starts again   service.optimize"), "{text}");
    }
}
