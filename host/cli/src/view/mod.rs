//! What people see, and the same facts as data.

pub(crate) mod change;
pub(crate) mod findings;
pub(crate) mod grant;
pub(crate) mod markdown;
pub(crate) mod plan;
pub(crate) mod waived;

/// How wide a screen may be: every table fits in it.
pub(crate) const SCREEN_COLUMNS: usize = 110;

/// Columns of a text: one for each character, which is right for the names and words that are shown here.
fn width(text: &str) -> usize {
    text.chars().count()
}

/// Rows under headings. A cell that is too wide for its column goes on in the next line: nothing is cut.
pub(crate) struct Table {
    widest: Vec<usize>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// With these headings; no headings, no first line.
    pub(crate) fn new(headings: &[&str]) -> Self {
        let rows = if headings.is_empty() {
            Vec::new()
        } else {
            vec![headings.iter().map(ToString::to_string).collect()]
        };
        Self {
            widest: Vec::new(),
            rows,
        }
    }

    /// With columns of at most so many characters; 0: any.
    pub(crate) fn within(mut self, widest: &[usize]) -> Self {
        self.widest = widest.to_vec();
        self
    }

    /// One more row.
    pub(crate) fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.into());
    }

    /// The text, each line indented by so many columns.
    pub(crate) fn render(&self, indent: usize) -> String {
        self.blocks(indent).concat()
    }

    /// The text of each row, with its headings first where it has them.
    pub(crate) fn blocks(&self, indent: usize) -> Vec<String> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or_default();
        let widest = |at: usize| self.widest.get(at).copied().filter(|max| *max > 0);
        let widths: Vec<usize> = (0..columns)
            .map(|at| {
                let cells = self.rows.iter().filter_map(|row| row.get(at));
                let widest_cell = cells.map(|cell| width(cell)).max().unwrap_or_default();
                widest(at).map_or(widest_cell, |max| widest_cell.min(max))
            })
            .collect();
        self.rows
            .iter()
            .map(|row| {
                let cells: Vec<Vec<String>> = row
                    .iter()
                    .zip(&widths)
                    .map(|(cell, width)| wrapped(cell, *width))
                    .collect();
                let lines = cells.iter().map(Vec::len).max().unwrap_or_default();
                (0..lines)
                    .map(|line| one_line(indent, &cells, &widths, line))
                    .collect()
            })
            .collect()
    }
}

fn one_line(indent: usize, cells: &[Vec<String>], widths: &[usize], line: usize) -> String {
    let mut out = " ".repeat(indent);
    for (cell, most) in cells.iter().zip(widths) {
        let part = cell.get(line).map(String::as_str).unwrap_or_default();
        out.push_str(part);
        out.push_str(&" ".repeat(most.saturating_sub(width(part)) + 2));
    }
    format!("{}\n", out.trim_end())
}

/// Lines of at most `most` characters: broken at spaces, a word that is longer anywhere.
pub(crate) fn wrapped(text: &str, most: usize) -> Vec<String> {
    let most = most.max(1);
    let mut lines = vec![String::new()];
    let mut free = most;
    for word in text.split(' ') {
        let mut word: Vec<char> = word.chars().collect();
        let begun = free < most;
        if begun && word.len() + 1 > free {
            lines.push(String::new());
            free = most;
        } else if begun {
            if let Some(line) = lines.last_mut() {
                line.push(' ');
            }
            free -= 1;
        }
        while !word.is_empty() {
            if free == 0 {
                lines.push(String::new());
                free = most;
            }
            let rest = word.split_off(word.len().min(free));
            free -= word.len();
            if let Some(line) = lines.last_mut() {
                line.extend(word);
            }
            word = rest;
        }
    }
    lines
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
            return format!(
                "{}.{} {unit}",
                n >> shift,
                ((n % (1 << shift)) * 10) >> shift
            );
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

    #[test]
    fn a_wide_cell_goes_on_in_the_next_line_and_loses_nothing() {
        assert_eq!(
            wrapped("to be or abcdefghij", 6),
            ["to be", "or", "abcdef", "ghij"]
        );
        assert_eq!(wrapped("", 6), [""]);
        let mut table = Table::new(&[]).within(&[0, 4]);
        table.row(["1".into(), "abcdef".into(), "x".into()]);
        assert_eq!(table.render(0), "1  abcd  x\n   ef\n");
    }
}
