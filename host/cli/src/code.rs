//! Error codes: one table with the exit code, the name and the paragraph of each.

use liftlock_types::Exit;

macro_rules! codes {
    ($($name:ident = $id:literal, $exit:ident: $text:literal;)*) => {
        /// What went wrong. The first two digits of a code are the exit code.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Code {
            $(#[doc = $text] $name,)*
        }

        impl Code {
            /// All of them, by number.
            pub(crate) const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// `E0301-no-grant`.
            pub(crate) fn id(self) -> &'static str {
                match self { $(Self::$name => $id,)* }
            }

            /// The exit code it ends with.
            pub(crate) fn exit(self) -> Exit {
                match self { $(Self::$name => Exit::$exit,)* }
            }

            /// The paragraph that `explain` prints.
            pub(crate) fn text(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

codes! {
    Internal = "E0101-internal", Internal:
        "A defect of Liftlock itself, or an operating system that refused something ordinary. Nothing follows from it \
         about the target: if a run was going on, `liftlock status` says from the journal how far it is. Please report \
         it with the text of the error.";
    Arguments = "E0201-arguments", Usage:
        "The command line is not one that Liftlock knows. `liftlock --help` lists the commands, `liftlock COMMAND \
         --help` the options of one.";
    NoSite = "E0202-no-site", Usage:
        "There is no `site.toml` where it was looked for. It names the things of one installation: where they are, how \
         to reach them, which secrets. `liftlock init --plugin FILE --cluster URL` writes one; `--site DIR` names \
         another place than the current directory.";
    SiteInvalid = "E0203-site-invalid", Usage:
        "`site.toml` (or a file beside it) does not say what it should. The message points at file, line and column \
         and says what would be right there. Nothing was contacted.";
    SiteExists = "E0204-site-exists", Usage:
        "`init` never overwrites a site file: it may hold decisions of yours. Edit it, or name another place with \
         `--site DIR`.";
    GrantsInvalid = "E0205-grants-invalid", Usage:
        "`grants.toml` does not say what it should, or is wider than what the plugin asks for. A grant may only be \
         narrower than the plugin's request. `liftlock grant` asks again and writes the one that was asked for.";
    Secret = "E0206-secret", Usage:
        "A secret that `site.toml` refers to could not be fetched: the environment variable is not set, the file is \
         not readable, or the command failed. The secret itself is never printed, journalled or shown to a plugin.";
    NoPlugin = "E0207-no-plugin", Usage:
        "The site names a plugin that is not installed here. Plugins lie in the state directory, by digest. `liftlock \
         plugin add FILE` installs one, `liftlock plugin list` shows what is there.";
    Unsigned = "E0208-unsigned", Usage:
        "This version of Liftlock verifies no signatures yet, so every plugin is unsigned. It loads one only after \
         `--allow-unsigned`, and says so on every screen: UNSIGNED, development. The sandbox and the grant hold for \
         it as for any other.";
    PluginUnusable = "E0209-plugin-unusable", Usage:
        "The file is no WebAssembly component, or it imports something that no plugin gets. A component must be built \
         against package `liftlock:upgrade` and import nothing but its interfaces and the inert parts of WASI.";
    Options = "E0210-options", Usage:
        "An option in `[options]` of `site.toml` is missing, unknown to the plugin, or of the wrong kind. `liftlock \
         plugin show NAME` lists them with their defaults.";
    BindingMissing = "E0211-binding-missing", Usage:
        "The plugin needs a thing of the site that `site.toml` does not define. Add a table for it: \
         `[cluster.database]` defines the binding `cluster.database`.";
    PlanUnreadable = "E0212-plan-unreadable", Usage:
        "The file is no plan of a format that this version reads, or there is no such file. Plans are written by \
         `liftlock plan` into `plans/` beside `site.toml`.";
    ApprovalUnreadable = "E0213-approval-unreadable", Usage:
        "A file in `PLAN.approvals/` is no approval. Approvals are written by `liftlock approve PLAN`; one is a small \
         TOML file with the plan's hash, who, when, what is waived and why.";
    StatePlace = "E0214-state-place", Usage:
        "The state directory is where a journal would not survive (memory, a network file system, a container's own \
         layer), or others can reach it. The journal is what makes `resume` safe, so it must outlive the machine's \
         next restart. Name a directory on a local disk with `--state DIR`.";
    NoRun = "E0215-no-run", Usage:
        "The journal in this state directory has no such run. `liftlock history` lists the runs that are there; \
         `--state DIR` names another directory.";
    RunState = "E0216-run-state", Usage:
        "The run is in a state in which this command means nothing: one that ended cannot be resumed or aborted, one \
         that was never begun has nothing to show. `liftlock status RUN` says where it stands.";
    File = "E0217-file", Usage:
        "A file could not be read or written. The message names it and says what the operating system answered.";
    NotExplained = "E0218-unknown-code", Usage:
        "`explain` knows exit codes (`20`), error codes (`E0301-no-grant`), findings of the host (`host.*`) and of the \
         installed plugins, words of the screens (`doubt`, `rollback`) and the table of changes (`changes`). On this \
         site, a finding says what, why and remedy where it is printed.";
    NoGrant = "E0301-no-grant", Blocked:
        "A plugin can read and propose only what was granted to it on this site, and nothing was. On a terminal \
         Liftlock asks; elsewhere run `liftlock grant`, look at what it lists, and write it with `liftlock grant \
         --yes`. A grant is bound to the plugin's digest: another build asks again.";
    GrantDeclined = "E0302-grant-declined", Blocked:
        "You answered no. Nothing was written. The plugin saw nothing of the site. A narrower grant can be written by \
         hand into `grants.toml`: `liftlock grant --show` prints the one asked for, to start from.";
    Blocked = "E0303-blocked", Blocked:
        "A check found something that must be mended before the upgrade, so no plan was written. Each blocker says its \
         remedy. Where a blocker is wrong for your site, `plan --with-blockers` writes the plan with it, and `approve \
         --waive FINDING --reason ...` takes the responsibility by name.";
    Denied = "E0304-denied", Blocked:
        "The plugin proposed or read something that the grant does not allow. The message has the rule that refused \
         and the line of `grants.toml` that would allow it. If the plugin has no business there, report it to its \
         vendor.";
    PlanRefused = "E0305-plan-refused", Blocked:
        "The host refused the proposal: steps in a circle, a name that is not there, an undo that cannot be done, two \
         steps that borrow one thing. That is the plugin's mistake; the message names the step. Nothing was changed.";
    Unhealthy = "E0306-unhealthy", Blocked:
        "`doctor` found something that would stop a run. Each line says what, and what to do.";
    NoRehearsal = "E0307-no-rehearsal", Blocked:
        "The rehearsal lacks targets of its own. A rehearsal changes what the plan changes, so every binding that the plan \
         changes must lead to something else than the real thing: `[rehearsal.cluster.NAME]` in `site.toml`, of the same \
         form as `[cluster.NAME]`, filled with a copy of the data. What is only read may stay the real one.";
    RehearsalIsReal = "E0308-rehearsal-is-real", Blocked:
        "A target under `[rehearsal]` in `site.toml` is a real one under another address: the same cluster, directory, \
         database, process or store of snapshots. A rehearsal would change it, so nothing was sent. Name a copy that \
         serves nobody.";
    NotFilled = "E0309-rehearsal-not-filled", Blocked:
        "The command that fills the targets of a rehearsal, `fill` under `[rehearsal]` in `site.toml`, could not be started \
         or failed. What it said is above. Nothing was rehearsed; what it did to the targets of the rehearsal stays. Run it \
         by hand, mend it, and rehearse again with `--fill`, or without where the targets are filled.";
    Unreachable = "E0401-unreachable", Unreachable:
        "A target did not answer, or not in its own form. Nothing was sent that changes anything. The message names \
         the binding and the address.";
    TargetRefused = "E0402-target-refused", Unreachable:
        "The target answered and said no before anything was changed: wrong credentials, missing rights, or a request \
         it does not take.";
    PlanEdited = "E1101-plan-edited", Stale:
        "The plan file's content does not have the hash that it was written with: it was changed after it was made. \
         An approval names a hash, so an edited plan is another plan. Make a new one with `liftlock plan VERSION`.";
    PlanStale = "E1102-plan-stale", Stale:
        "Planned again now, the steps differ from the approved ones: the site changed in a way that matters. The \
         difference is printed. Nothing was changed. Make a new plan, look at it, approve it.";
    GrantChanged = "E1103-grant-changed", Stale:
        "The grant is not the one that the plan was checked against. Make a new plan under the grant as it is now, or \
         put the old grant back.";
    PluginChanged = "E1104-plugin-changed", Stale:
        "The plugin's bytes are not the ones that made the plan or were granted. Even one byte makes another plugin. \
         Install the one that is meant, or grant and plan again with the new one.";
    OtherTarget = "E1105-other-target", Stale:
        "Behind an address answers another system than the one that was granted or planned for. That is what happens \
         when a name is moved to another cluster. Nothing was sent to it. Check the address in `site.toml`; if the \
         system is meant, grant and plan again.";
    ApprovalMissing = "E1201-approval-missing", ApprovalMissing:
        "The plan may not run yet: it lacks an approval, or a blocker in it is neither mended nor waived with a \
         reason. `liftlock approve PLAN` writes one; with `approvals = N` above 1 in `site.toml`, others than the \
         maker of the plan must. In CI, `run PLAN --approve HASH` approves by name of the hash.";
    StepApproval = "E1301-step-approval", StepApproval:
        "The run stopped at a safe point in front of a step that wants a person: an approval of its own, or something \
         that only a person can do or attest. Nothing is half-done. `liftlock approve PLAN --step ID --reason ...`, \
         then `liftlock resume RUN`.";
    Stopped = "E2001-stopped", Resumable:
        "The run stopped, and a repeat needs no person beyond the one who mends the cause: a target that was away, a \
         condition that did not hold in time, or your Ctrl-C. What was done is in the journal with its evidence and is \
         not done again. `liftlock resume RUN` goes on at the next step.";
    PersonNeeded = "E2101-person-needed", PersonNeeded:
        "A change was sent and what became of it cannot be proved, or something that was done does not hold any more. \
         Liftlock never guesses: the message lists the choices and what each would mean. Until a decision is recorded, \
         `resume` changes nothing and says this again.";
    JournalDamaged = "E2102-journal-damaged", PersonNeeded:
        "The journal is not what was written: a row or the end is missing, or a hash does not fit. Nothing from the \
         first broken row on counts as history, so no run goes on from it. Keep the directory as it is, and restore \
         the whole of it (with its `-wal` file) from a copy.";
    Frozen = "E2201-frozen", Frozen:
        "The run stopped after it had changed the schema, and stands still on purpose: neither the old nor the new \
         version may be started on what is there. Protective state (a stopped writer, a block) is left in place and \
         listed. Mend the cause and `liftlock resume RUN`.";
    RolledBack = "E2301-rolled-back", RolledBack:
        "The run failed and everything it had done was taken back, each undo proved. The site is at the old version. \
         A rolled-back run cannot be used again: make a new plan.";
    RollbackFailed = "E2401-rollback-failed", RollbackFailed:
        "Taking back failed on the way. The journal says what was taken back and what was not; what remains is listed. \
         `liftlock resume RUN` goes on with taking back, never forward.";
    Claimed = "E3001-claimed", Claimed:
        "The target carries the claim of another run. Two runs on one target would overwrite each other, so this one \
         sent nothing. The message names holder, host and state directory. If that run is alive, wait for it; if it \
         was stopped, resume or abort it from its own state directory.";
    JournalBusy = "E3002-journal-busy", Claimed:
        "Another process writes the journal in this state directory: a run is going on. `liftlock status` reads beside \
         it. Wait for it to end, or stop it by Ctrl-C in its terminal.";
    ClaimLost = "E3101-claim-lost", ClaimLost:
        "The claim of this run is not in the target any more: it was taken over, or removed by hand. The run stopped \
         before its next change; a claim is never made again behind the back of who took it. Find out who, then \
         decide.";
    PluginFault = "E4001-plugin-fault", PluginFault:
        "The plugin failed inside its sandbox: it trapped, ran over a limit, or answered something that is no answer. \
         No plugin code runs while anything is changed, so this is never in the middle of a change. The message names \
         the plugin, the export and what was hit.";
    NotDeterministic = "E4002-not-deterministic", PluginFault:
        "Given the same answers to the same reads, the plugin made another plan. What a person approves must be what \
         runs, so such a plugin cannot be used. Report it to its vendor.";
}

/// The paragraph of an exit code.
pub(crate) fn exit_text(exit: Exit) -> &'static str {
    match exit {
        Exit::Done => {
            "Done, or nothing to do. After a run: no open intent, nothing borrowed, no claim, and nothing left behind \
             that the report does not name."
        }
        Exit::Internal => "A defect of Liftlock. Please report it.",
        Exit::Usage => {
            "The command line or a file of yours is wrong. Nothing was sent anywhere. The message says what would be \
             right."
        }
        Exit::Blocked => {
            "A check found a blocker, or the plugin has no grant for what it wants. Nothing was changed."
        }
        Exit::Unreachable => {
            "A target is unreachable, or refused us before anything was sent that changes it. Trying again later is safe."
        }
        Exit::Changes => {
            "`plan --detailed-exitcode` made a plan that has changes. Without that option the same plan exits 0."
        }
        Exit::Stale => {
            "The plan no longer fits: it, the grant, the plugin or the target is another one, or planning again gives \
             other steps. The difference is printed; nothing was changed. Make a new plan."
        }
        Exit::ApprovalMissing => {
            "The plan lacks an approval, or a blocker in it is not waived. Nothing was sent."
        }
        Exit::StepApproval => {
            "The run stopped at a safe point and waits for a person's approval of one step. Nothing is half-done."
        }
        Exit::Resumable => {
            "The run failed or was stopped, and `liftlock resume RUN` needs no person: what is done is proved, what is \
             not done was not sent or can be repeated."
        }
        Exit::PersonNeeded => {
            "A person must decide: an outcome cannot be proved, a sent request may still land, or the target is not as \
             this run left it. Until the decision is recorded nothing is changed. The strongest code: it holds over \
             every other."
        }
        Exit::Frozen => {
            "The run stands still after a schema write. Start neither version; mend the cause and resume."
        }
        Exit::RolledBack => {
            "The run failed and was taken back completely; the site is at the old version."
        }
        Exit::RollbackFailed => "Taking back failed on the way; the report says what remains.",
        Exit::Claimed => {
            "Another run holds the claim of the target, or the journal. This one sent nothing."
        }
        Exit::ClaimLost => {
            "The run's claim is gone from the target; the run stopped before its next change."
        }
        Exit::PluginFault => {
            "The plugin failed in its sandbox, or is not deterministic. No plugin code runs while anything is changed."
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_code_begins_with_its_exit_code_and_is_there_once() {
        let mut seen = BTreeSet::new();
        for code in Code::ALL {
            let digits = code.id().get(1..5).unwrap();
            assert_eq!(
                digits[..2].parse::<u8>().unwrap(),
                code.exit().code(),
                "{}",
                code.id()
            );
            assert!(seen.insert(digits), "{} is there twice", code.id());
            assert_eq!(code.id().as_bytes()[5], b'-');
        }
    }

    #[test]
    fn every_code_and_exit_has_a_paragraph() {
        for code in Code::ALL {
            assert!(code.text().len() > 60, "{}", code.id());
        }
        for exit in Exit::ALL {
            assert!(exit_text(exit).len() > 30, "{exit:?}");
        }
    }

    #[test]
    fn every_exit_that_is_a_failure_has_a_code() {
        for exit in Exit::ALL {
            let ends_well = matches!(exit, Exit::Done | Exit::Changes);
            assert_eq!(
                ends_well,
                !Code::ALL.iter().any(|code| code.exit() == exit),
                "{exit:?}"
            );
        }
    }

    #[test]
    fn exit_codes_are_the_documented_ones() {
        let codes: Vec<u8> = Exit::ALL.iter().map(|exit| exit.code()).collect();
        assert_eq!(
            codes,
            [
                0, 1, 2, 3, 4, 10, 11, 12, 13, 20, 21, 22, 23, 24, 30, 31, 40
            ]
        );
    }
}
