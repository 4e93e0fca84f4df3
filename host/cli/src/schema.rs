//! The JSON schemas of `--json`, one for each command: committed, and held to what the program writes.

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use schemars::{JsonSchema, schema_for};

    use crate::command::data::{
        AbandonData, ApproveData, AuditData, CheckData, DoctorData, ExportData, HistoryData,
        ImportData, InitData, InspectData, PluginData, PluginListData, ReplanData,
    };
    use crate::explain::ExplainData;
    use crate::output::Envelope;
    use crate::running::EndData;
    use crate::runs::RunData;
    use crate::undoing::UndoingData;
    use crate::view::grant::GrantData;
    use crate::view::plan::PlanData;

    /// Set to write the schemas instead of comparing them.
    const ACCEPT: &str = "LIFTLOCK_ACCEPT";

    fn of<T: JsonSchema>() -> String {
        let schema = schema_for!(Envelope<T>);
        format!("{}\n", serde_json::to_string_pretty(&schema).unwrap())
    }

    fn all() -> Vec<(&'static str, String)> {
        vec![
            ("init", of::<InitData>()),
            ("doctor", of::<DoctorData>()),
            ("plugin-add", of::<PluginData>()),
            ("plugin-list", of::<PluginListData>()),
            ("plugin-show", of::<PluginData>()),
            ("grant", of::<GrantData>()),
            ("inspect", of::<InspectData>()),
            ("check", of::<CheckData>()),
            ("plan", of::<PlanData>()),
            ("show", of::<PlanData>()),
            ("rehearse", of::<EndData>()),
            ("approve", of::<ApproveData>()),
            ("run", of::<EndData>()),
            ("resume", of::<EndData>()),
            ("abort", of::<EndData>()),
            ("rollback", of::<EndData>()),
            ("rollback-preview", of::<UndoingData>()),
            ("replan", of::<ReplanData>()),
            ("takeover", of::<EndData>()),
            ("takeover-abandon", of::<AbandonData>()),
            ("status", of::<RunData>()),
            ("history", of::<HistoryData>()),
            ("audit", of::<AuditData>()),
            ("export", of::<ExportData>()),
            ("import", of::<ImportData>()),
            ("explain", of::<ExplainData>()),
        ]
    }

    #[test]
    fn every_command_has_a_schema_and_the_committed_one_is_current() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("schema");
        let accept = std::env::var_os(ACCEPT).is_some();
        for (name, schema) in all() {
            let file = dir.join(format!("{name}.json"));
            if accept {
                fs::write(&file, &schema).unwrap();
            }
            let committed = fs::read_to_string(&file).unwrap_or_default();
            assert!(
                committed == schema,
                "{name}.json is not current: run this test with {ACCEPT}=1 and look at the diff"
            );
        }
        let files = fs::read_dir(&dir).unwrap().count();
        assert_eq!(files, all().len(), "a schema without a command");
        use clap::CommandFactory;
        for command in crate::args::Cli::command()
            .get_subcommands()
            .filter(|command| !command.is_hide_set())
        {
            let name = command.get_name();
            assert!(
                all()
                    .iter()
                    .any(|(known, _)| known.split('-').next() == Some(name)),
                "{name} has no schema"
            );
        }
    }
}
