//! The draft: steps, and what is put into them. Every call only adds to what the host holds.

use liftlock_types::{
    Binding, Body, Condition, Fill, FillValue, Guard, PLUGIN_BINDING, Planned, Predicate, Reading,
    StepId, Undo, UnitName,
};
use wasmtime::component::Resource;

use super::changes::plain_name;
use super::wit::draft as wit;
use super::{DraftHandle, StepHandle, convert, invalid};
use crate::draft::DraftStep;
use crate::fault::ContractBroken;
use crate::plugin::State;
use crate::session::{HostError, listed};

/// Fills of one change. A document of an update log has two.
const FILLS_MAX: usize = 20;

/// Longest capture name; it is a key for the author and a heading for people.
const CAPTURE_NAME_BYTES_MAX: usize = 200;

/// Longest time a condition may ask for, a week: what takes longer is a hand-over.
const WAIT_MS_MAX: u64 = 7 * 24 * 3_600_000;

impl wit::Host for State {
    async fn asked(
        &mut self,
        name: String,
        input: String,
    ) -> Result<Resource<Condition>, HostError> {
        self.session.enter()?;
        let name = plain_name("condition", name)?;
        self.session.hold(name.len())?;
        let input = self.session.json(&input)?;
        let condition = self.session.condition(
            &Binding::new(PLUGIN_BINDING)?,
            Predicate::Asked { name, input },
        )?;
        Ok(self.table.push(condition)?)
    }
}

impl State {
    fn step(&mut self, on: &Resource<StepHandle>) -> Result<&mut DraftStep, HostError> {
        let index = self.table.get(on)?.index;
        self.session
            .draft()?
            .at(index)
            .ok_or_else(|| HostError::Trap(ContractBroken("a step of another draft".into()).into()))
    }

    fn fill(
        &mut self,
        on: &Resource<Planned>,
        pointer: String,
        value: FillValue,
    ) -> Result<(), HostError> {
        self.session.enter()?;
        self.session.hold(pointer.len())?;
        let planned = self.table.get_mut(on)?;
        if planned.fills.len() >= FILLS_MAX {
            return Err(invalid(format!("a change has at most {FILLS_MAX} fills")));
        }
        planned.fills.push(Fill { pointer, value });
        if let Err(error) = planned.filled("", "") {
            planned.fills.pop();
            return Err(invalid(error.to_string()));
        }
        Ok(())
    }

    fn wait(ms: u64) -> wasmtime::Result<u64> {
        if ms > WAIT_MS_MAX {
            let text = format!("a condition waits for at most {WAIT_MS_MAX} ms, {ms} is asked");
            return Err(ContractBroken(text).into());
        }
        Ok(ms)
    }
}

impl wit::HostChange for State {
    async fn fill_now(&mut self, on: Resource<Planned>, pointer: String) -> Result<(), HostError> {
        self.fill(&on, pointer, FillValue::Now)
    }

    async fn fill_run_id(
        &mut self,
        on: Resource<Planned>,
        pointer: String,
    ) -> Result<(), HostError> {
        self.fill(&on, pointer, FillValue::RunId)
    }

    async fn drop(&mut self, change: Resource<Planned>) -> wasmtime::Result<()> {
        self.table.delete(change)?;
        Ok(())
    }
}

impl wit::HostReading for State {
    async fn drop(&mut self, reading: Resource<Reading>) -> wasmtime::Result<()> {
        self.table.delete(reading)?;
        Ok(())
    }
}

impl wit::HostCondition for State {
    async fn negate(&mut self, on: Resource<Condition>) -> wasmtime::Result<()> {
        self.session.enter()?;
        let condition = self.table.get_mut(&on)?;
        condition.negated = !condition.negated;
        Ok(())
    }

    async fn stable_for(&mut self, on: Resource<Condition>, ms: u64) -> wasmtime::Result<()> {
        self.session.enter()?;
        self.table.get_mut(&on)?.stable_for_ms = Self::wait(ms)?;
        Ok(())
    }

    async fn patience(&mut self, on: Resource<Condition>, ms: u64) -> wasmtime::Result<()> {
        self.session.enter()?;
        self.table.get_mut(&on)?.patience_ms = Self::wait(ms)?;
        Ok(())
    }

    async fn on_expiry(
        &mut self,
        on: Resource<Condition>,
        what: wit::OnExpiry,
    ) -> wasmtime::Result<()> {
        self.session.enter()?;
        self.table.get_mut(&on)?.on_expiry = convert::on_expiry(what);
        Ok(())
    }

    async fn drop(&mut self, condition: Resource<Condition>) -> wasmtime::Result<()> {
        self.table.delete(condition)?;
        Ok(())
    }
}

impl wit::HostStep for State {
    async fn after(&mut self, on: Resource<StepHandle>, id: String) -> Result<(), HostError> {
        self.session.enter()?;
        self.session.hold(id.len())?;
        let id = StepId::new(id)?;
        Ok(self.step(&on)?.after(id)?)
    }

    async fn does(
        &mut self,
        on: Resource<StepHandle>,
        what: Resource<Planned>,
    ) -> Result<(), HostError> {
        self.session.enter()?;
        let planned = self.table.delete(what)?;
        Ok(self.step(&on)?.body(Body::Change(planned))?)
    }

    async fn captures(
        &mut self,
        on: Resource<StepHandle>,
        name: String,
        what: Vec<Resource<Reading>>,
    ) -> Result<(), HostError> {
        self.session.enter()?;
        if name.is_empty() || name.len() > CAPTURE_NAME_BYTES_MAX {
            return Err(invalid(format!(
                "a capture's name has 1 to {CAPTURE_NAME_BYTES_MAX} bytes"
            )));
        }
        let name = self.session.line(&name)?;
        let reads = listed(what)?
            .iter()
            .map(|reading| {
                let reading = self.table.get(reading)?.clone();
                self.session.hold(format!("{reading:?}").len())?;
                Ok(reading)
            })
            .collect::<Result<_, HostError>>()?;
        Ok(self.step(&on)?.captures(name, reads)?)
    }

    async fn hands_over(
        &mut self,
        on: Resource<StepHandle>,
        text: String,
    ) -> Result<(), HostError> {
        self.session.enter()?;
        let text = self.session.paragraph(&text)?;
        Ok(self.step(&on)?.body(Body::HandOver { text })?)
    }

    async fn gives_back(
        &mut self,
        on: Resource<StepHandle>,
        step: String,
    ) -> Result<(), HostError> {
        self.session.enter()?;
        let step = StepId::new(step)?;
        Ok(self.step(&on)?.body(Body::GiveBack { step })?)
    }

    async fn undo(
        &mut self,
        on: Resource<StepHandle>,
        what: Resource<Planned>,
    ) -> Result<(), HostError> {
        self.session.enter()?;
        let planned = self.table.delete(what)?;
        Ok(self.step(&on)?.undo(planned)?)
    }

    async fn undo_by_restore(
        &mut self,
        on: Resource<StepHandle>,
        snapshot_step: String,
    ) -> Result<(), HostError> {
        self.session.enter()?;
        let undo = Undo::ByRestore(StepId::new(snapshot_step)?);
        Ok(self.step(&on)?.undo_as(undo)?)
    }

    async fn cannot_undo(
        &mut self,
        on: Resource<StepHandle>,
        reason: String,
    ) -> wasmtime::Result<()> {
        self.session.enter()?;
        let because = self.session.paragraph(&reason)?;
        let step = self.step(&on).map_err(ended)?;
        // This call cannot answer, so what another one would be told ends the plan.
        step.undo_as(Undo::None { because })
            .map_err(|error| ContractBroken(error.to_string()).into())
    }

    async fn stays(&mut self, on: Resource<StepHandle>, reason: String) -> wasmtime::Result<()> {
        self.session.enter()?;
        let because = self.session.paragraph(&reason)?;
        let step = self.step(&on).map_err(ended)?;
        step.undo_as(Undo::Stays { because })
            .map_err(|error| ContractBroken(error.to_string()).into())
    }

    async fn unit(&mut self, on: Resource<StepHandle>, name: String) -> Result<(), HostError> {
        self.session.enter()?;
        self.session.hold(name.len())?;
        let unit = UnitName::new(name)?;
        Ok(self.step(&on)?.unit(unit)?)
    }

    async fn opens_when(
        &mut self,
        on: Resource<StepHandle>,
        label: String,
        that: Resource<Condition>,
    ) -> Result<(), HostError> {
        self.session.enter()?;
        let label = self.session.line(&label)?;
        let condition = self.table.delete(that)?;
        self.step(&on)?
            .opens_when(Condition { label, ..condition })?;
        Ok(())
    }

    async fn ends_when(
        &mut self,
        on: Resource<StepHandle>,
        label: String,
        that: Resource<Condition>,
    ) -> Result<(), HostError> {
        self.session.enter()?;
        let label = self.session.line(&label)?;
        let condition = self.table.delete(that)?;
        self.step(&on)?
            .ends_when(Condition { label, ..condition })?;
        Ok(())
    }

    async fn rests_on(
        &mut self,
        on: Resource<StepHandle>,
        what: Resource<Reading>,
    ) -> Result<(), HostError> {
        self.session.enter()?;
        let reading = self.table.get(&what)?.clone();
        let fact = self.session.rest_on(reading).await?;
        self.step(&on)?.rests_on(fact)?;
        Ok(())
    }

    async fn expect_work(
        &mut self,
        on: Resource<StepHandle>,
        unit: String,
        amount: u64,
    ) -> wasmtime::Result<()> {
        self.session.enter()?;
        let unit = self.session.line(&unit)?;
        self.step(&on).map_err(ended)?.expect_work(unit, amount)?;
        Ok(())
    }

    async fn peak_disk(
        &mut self,
        on: Resource<StepHandle>,
        node: String,
        bytes: u64,
    ) -> wasmtime::Result<()> {
        self.session.enter()?;
        let node = self.session.line(&node)?;
        self.step(&on).map_err(ended)?.peak_disk(node, bytes)?;
        Ok(())
    }

    async fn own_approval(
        &mut self,
        on: Resource<StepHandle>,
        reason: String,
    ) -> wasmtime::Result<()> {
        self.session.enter()?;
        let reason = self.session.paragraph(&reason)?;
        self.step(&on).map_err(ended)?.own_approval(reason);
        Ok(())
    }

    async fn memo(&mut self, on: Resource<StepHandle>, text: String) -> Result<(), HostError> {
        self.session.enter()?;
        let memo = self.session.json(&text)?;
        self.step(&on)?.memo(memo);
        Ok(())
    }

    async fn because(&mut self, on: Resource<StepHandle>, text: String) -> wasmtime::Result<()> {
        self.session.enter()?;
        let text = self.session.paragraph(&text)?;
        self.step(&on).map_err(ended)?.because(text);
        Ok(())
    }

    async fn drop(&mut self, step: Resource<StepHandle>) -> wasmtime::Result<()> {
        // The step stays in the draft.
        self.table.delete(step)?;
        Ok(())
    }
}

impl wit::HostDraft for State {
    async fn step(
        &mut self,
        _on: Resource<DraftHandle>,
        id: String,
        phase: wit::Phase,
        title: String,
    ) -> Result<Resource<StepHandle>, HostError> {
        self.session.enter()?;
        let id = StepId::new(id)?;
        let title = self.session.line(&title)?;
        let index = self
            .session
            .draft()?
            .step(id, convert::phase(phase), title)?;
        Ok(self.table.push(StepHandle { index })?)
    }

    async fn summary(&mut self, _on: Resource<DraftHandle>, text: String) -> wasmtime::Result<()> {
        self.session.enter()?;
        let text = self.session.paragraph(&text)?;
        self.session.draft()?.add_summary(text)?;
        Ok(())
    }

    async fn not_done(&mut self, _on: Resource<DraftHandle>, text: String) -> wasmtime::Result<()> {
        self.session.enter()?;
        let text = self.session.paragraph(&text)?;
        self.session.draft()?.add_not_done(text)?;
        Ok(())
    }

    async fn hand_over(
        &mut self,
        _on: Resource<DraftHandle>,
        title: String,
        text: String,
    ) -> wasmtime::Result<()> {
        self.session.enter()?;
        let title = self.session.line(&title)?;
        let text = self.session.paragraph(&text)?;
        self.session.draft()?.add_hand_over(title, text)?;
        Ok(())
    }

    async fn guard(
        &mut self,
        _on: Resource<DraftHandle>,
        label: String,
        from: String,
        until: String,
        that: Resource<Condition>,
    ) -> Result<(), HostError> {
        self.session.enter()?;
        let label = self.session.line(&label)?;
        self.session.hold(from.len() + until.len())?;
        let (from, until) = (StepId::new(from)?, StepId::new(until)?);
        let condition = self.table.delete(that)?;
        let guard = Guard {
            from,
            until,
            condition: Condition { label, ..condition },
        };
        self.session.draft()?.add_guard(guard)?;
        Ok(())
    }

    async fn drop(&mut self, draft: Resource<DraftHandle>) -> wasmtime::Result<()> {
        self.table.delete(draft)?;
        Ok(())
    }
}

/// Where a call has no answer, what would be told ends it.
fn ended(error: HostError) -> wasmtime::Error {
    match error {
        HostError::Told(error) => ContractBroken(error.to_string()).into(),
        HostError::Trap(error) => error,
    }
}
