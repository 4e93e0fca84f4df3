//! A plan as Markdown, for a pull request.

use liftlock_types::PlanFile;

use crate::escape;
use crate::view::waived::{self, WaivedData};
use crate::view::{change, findings, plan};

/// Text in a table cell: nothing in it can end the cell or begin a tag.
fn cell(text: &str) -> String {
    escape::line(text)
        .replace('\\', "\\\\")
        .replace('|', "\\|")
        .replace('<', "&lt;")
        .replace('`', "'")
}

/// The whole plan.
pub(crate) fn text(file: &PlanFile, mark: &str, waived: &[WaivedData]) -> String {
    let p = &file.plan;
    let mut out = format!(
        "## {}\n\n`{}`\n\nPlugin `{}` {}, `{}`{mark}. Made {} by {}.\n\n",
        cell(&plan::headline(file)),
        file.hash,
        cell(&p.plugin.name),
        cell(&p.plugin.version),
        p.plugin.digest,
        file.made_at,
        cell(&file.made_by),
    );
    for (binding, identity) in &p.bindings {
        out.push_str(&format!("- `{binding}`: {}\n", cell(&identity.product)));
    }
    out.push_str("\n| # | phase | step | does | undo | work |\n|---|---|---|---|---|---|\n");
    for (at, step) in p.steps.iter().enumerate() {
        if p.point_of_no_return.as_ref() == Some(&step.id) {
            out.push_str(
                "| | | **POINT OF NO RETURN** | from here only a restore goes back | | |\n",
            );
        }
        out.push_str(&format!(
            "| {} | {} | {} | `{}` | {} | {} |\n",
            at + 1,
            step.phase.as_str(),
            cell(&step.title),
            cell(&change::body(step)),
            cell(&change::undo(step)),
            cell(&change::work(step)),
        ));
    }
    out.push('\n');
    for note in plan::notes(p) {
        out.push_str(&format!("- {}\n", cell(&note)));
    }
    if !p.findings.is_empty() {
        out.push_str(&format!(
            "\n### Findings: {}\n\n",
            findings::totals(&p.findings)
        ));
        for finding in findings::data(&p.findings) {
            let value = serde_json::to_value(&finding).unwrap_or_default();
            let part = |name: &str| {
                cell(
                    value
                        .get(name)
                        .and_then(|part| part.as_str())
                        .unwrap_or_default(),
                )
            };
            out.push_str(&format!(
                "- **{}** `{}` {}: {} Remedy: {}\n",
                part("severity"),
                part("id"),
                part("subject"),
                part("what"),
                part("remedy"),
            ));
        }
    }
    if !waived.is_empty() {
        // A pull request shows no colour of ours; an alert is red there.
        out.push_str("\n> [!CAUTION]\n> Waived, so that it runs although this forbids it:\n");
        for line in waived::lines(waived, &p.findings) {
            out.push_str(&format!("> - **{}**\n", cell(&line)));
        }
    }
    if !p.not_done.is_empty() {
        out.push_str("\n### Not done by this plan\n\n");
        for text in &p.not_done {
            out.push_str(&format!("- {}\n", cell(text)));
        }
    }
    if !p.hand_overs.is_empty() {
        out.push_str("\n### For a person to do, outside the plan\n\n");
        for hand in &p.hand_overs {
            out.push_str(&format!(
                "- **{}**: {}\n",
                cell(&hand.title),
                cell(&hand.text)
            ));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_cannot_break_out_of_its_cell() {
        let mut file = plan::tests::sample();
        file.plan.steps[0].title = "a | b\n<script>".into();
        let text = text(&file, "", &[]);
        assert!(text.contains("a \\| b\\\\u{a}&lt;script>"), "{text}");
        assert!(text.contains("POINT OF NO RETURN") && !text.contains("CAUTION"));
    }

    #[test]
    fn a_waiver_is_an_alert() {
        let waived = [WaivedData("f".into(), "ann".into(), "a | b".into())];
        let text = super::text(&plan::tests::sample(), "", &waived);
        assert!(
            text.contains("> [!CAUTION]\n") && text.contains("> - **f, by ann: a \\| b**\n"),
            "{text}"
        );
    }
}
