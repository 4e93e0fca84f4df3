//! What people see, and the same facts as data.

pub(crate) mod change;
pub(crate) mod findings;
pub(crate) mod grant;
pub(crate) mod markdown;
pub(crate) mod plan;

/// How wide a screen may be: every table fits in it.
pub(crate) const SCREEN_COLUMNS: usize = 110;

/// Columns of a text: one for each character, which is right for the names and words that are shown here.
fn width(text: &str) -> usize {
    text.chars().count()
}

/// Rows under headings, each column as wide as its widest cell but the last.
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// With these headings.
    pub(crate) fn new(headings: &[&str]) -> Self {
        Self {
            rows: vec![headings.iter().map(ToString::to_string).collect()],
        }
    }

    /// One more row.
    pub(crate) fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.into());
    }

    /// The text, each line indented by so many columns.
    pub(crate) fn render(&self, indent: usize) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or_default();
        let widths: Vec<usize> = (0..columns)
            .map(|at| {
                self.rows
                    .iter()
                    .filter_map(|row| row.get(at))
                    .map(|cell| width(cell))
                    .max()
                    .unwrap_or_default()
            })
            .collect();
        let mut out = String::new();
        for row in &self.rows {
            let mut line = " ".repeat(indent);
            for (at, cell) in row.iter().enumerate() {
                line.push_str(cell);
                if at + 1 < row.len() {
                    line.push_str(&" ".repeat(widths[at] - width(cell) + 2));
                }
            }
            out.push_str(line.trim_end());
            out.push('\n');
        }
        out
    }
}

/// `1 index`, `2 indices`.
pub(crate) fn count(n: usize, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

/// A large number for people: `61.2 M`.
pub(crate) fn amount(n: u64) -> String {
    const STEPS: [(u64, &str); 4] = [
        (1_000_000_000_000, "T"),
        (1_000_000_000, "G"),
        (1_000_000, "M"),
        (10_000, "k"),
    ];
    for (from, unit) in STEPS {
        if n >= from {
            let base = if unit == "k" { 1_000 } else { from };
            return format!("{}.{} {unit}", n / base, n % base * 10 / base);
        }
    }
    n.to_string()
}

/// Bytes for people: `3.1 GiB`.
pub(crate) fn bytes(n: u64) -> String {
    const STEPS: [(u32, &str); 4] = [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")];
    for (shift, unit) in STEPS {
        if n >= 1 << shift {
            return format!("{}.{} {unit}", n >> shift, (n % (1 << shift)) * 10 >> shift);
        }
    }
    format!("{n} B")
}

/// A duration for people: `1 h 02 min`, `4 min 10 s`, `830 ms`.
pub(crate) fn duration(ms: u64) -> String {
    let s = ms / 1000;
    match s {
        0 => format!("{ms} ms"),
        1..=59 => format!("{s}.{} s", ms % 1000 / 100),
        60..=3599 => format!("{} min {:02} s", s / 60, s % 60),
        _ => format!("{} h {:02} min", s / 3600, s % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_never_rounded_up() {
        assert_eq!(
            [
                amount(9_999),
                amount(12_345),
                amount(61_299_999),
                amount(3_000_000_000)
            ],
            ["9999", "12.3 k", "61.2 M", "3.0 G"]
        );
        assert_eq!(
            [bytes(1023), bytes(1536), bytes(3 << 30)],
            ["1023 B", "1.5 KiB", "3.0 GiB"]
        );
        assert_eq!(
            [
                duration(830),
                duration(1_250),
                duration(250_000),
                duration(3_725_000)
            ],
            ["830 ms", "1.2 s", "4 min 10 s", "1 h 02 min"]
        );
    }

    #[test]
    fn columns_line_up() {
        let mut table = Table::new(&["a", "b"]);
        table.row(["long".into(), "x".into()]);
        assert_eq!(table.render(1), " a     b\n long  x\n");
    }
}
