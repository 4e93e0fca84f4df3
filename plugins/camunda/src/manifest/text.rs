//! The notation of a manifest.
//!
//! ```text
//! table act_ru_job
//! column batch_id_ character varying(64) @ 7.22-7.24
//! column repeat_offset_ bigint default 0 @ 7.12-7.24
//! index act_idx_job_root_procinst (root_proc_inst_id_) @ 7.21-7.24
//! foreign act_fk_job_exception (exception_stack_id_) to act_ge_bytearray
//! primary act_ru_job_pkey (id_)
//! ```
//!
//! A line without versions is of all that have its table. `primary` and `unique` are a constraint and the index
//! under it, of one name; `index` and `unique-index` are an index alone. `+patch` at the end marks what no script to
//! a minor version brings.

use crate::catalog::Catalog;
use crate::catalog::Column;
use crate::catalog::Constraint;
use crate::catalog::Family;
use crate::catalog::Index;
use crate::version::Minor;

/// Which versions have an object: runs, both ends included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Minors(Vec<(Minor, Minor)>);

impl Minors {
    fn all() -> Self {
        Self(vec![(Minor::OLDEST, Minor::NEWEST)])
    }

    /// `7.5-7.9,7.12`.
    fn parse(text: &str) -> Option<Self> {
        let run = |run: &str| {
            let (first, last) = run.split_once('-').unwrap_or((run, run));
            Some((first.parse().ok()?, last.parse().ok()?))
        };
        text.split(',').map(run).collect::<Option<_>>().map(Self)
    }

    pub(super) fn has(&self, minor: Minor) -> bool {
        self.0
            .iter()
            .any(|(first, last)| (first..=last).contains(&&minor))
    }

    pub(super) fn has_later(&self, minor: Minor) -> bool {
        self.0.iter().any(|(_, last)| *last > minor)
    }

    pub(super) fn has_earlier(&self, minor: Minor) -> bool {
        self.0.iter().any(|(first, _)| *first < minor)
    }
}

/// The text of a family.
pub(super) fn of(family: Family) -> &'static str {
    match family {
        Family::Postgres => include_str!("postgres.txt"),
        Family::Mysql => include_str!("mysql.txt"),
        Family::Mariadb => include_str!("mariadb.txt"),
    }
}

/// One line, with the table that it stands under.
#[derive(Debug)]
pub(super) struct Line {
    /// The table, or one object of it (a key with its index).
    pub(super) catalog: Catalog,
    pub(super) minors: Minors,
    pub(super) by_patch: bool,
}

/// All lines. One that is none of ours is left out; a test reads every file without a rest.
pub(super) fn read(text: &str) -> Vec<Line> {
    let mut table = (String::new(), Minors::all());
    let mut found = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (line, by_patch) = match line.strip_suffix(" +patch") {
            Some(line) => (line, true),
            None => (line, false),
        };
        let (told, minors) = match line.rsplit_once(" @ ") {
            Some((told, minors)) => (told, Minors::parse(minors)),
            None => (line, None),
        };
        let catalog = if let Some(name) = told.strip_prefix("table ") {
            table = (name.to_owned(), minors.clone().unwrap_or(Minors::all()));
            Some(Catalog {
                tables: vec![name.to_owned()],
                ..Catalog::default()
            })
        } else {
            object(&table.0, told)
        };
        found.extend(catalog.map(|catalog| Line {
            catalog,
            minors: minors.unwrap_or_else(|| table.1.clone()),
            by_patch,
        }));
    }
    found
}

fn object(table: &str, told: &str) -> Option<Catalog> {
    let (word, rest) = told.split_once(' ')?;
    let (name, rest) = rest.split_once(' ')?;
    let mut catalog = Catalog::default();
    if word == "column" {
        catalog.columns.push(column(table, name, rest));
        return Some(catalog);
    }
    let (columns, rest) = rest.strip_prefix('(')?.rsplit_once(')')?;
    let columns: Vec<String> = columns.split(", ").map(str::to_owned).collect();
    let kind = match word {
        "primary" => Some("primary-key"),
        "unique" => Some("unique"),
        "foreign" => Some("foreign-key"),
        "index" | "unique-index" => None,
        _ => return None,
    };
    if let Some(kind) = kind {
        catalog.constraints.push(Constraint {
            table: table.to_owned(),
            name: name.to_owned(),
            kind: kind.to_owned(),
            columns: columns.clone(),
            references: rest.strip_prefix(" to ").map(str::to_owned),
        });
    }
    if word != "foreign" {
        catalog.indexes.push(Index {
            table: table.to_owned(),
            name: name.to_owned(),
            columns,
            unique: word != "index",
            primary: word == "primary",
            valid: true,
        });
    }
    Some(catalog)
}

fn column(table: &str, name: &str, told: &str) -> Column {
    let (told, default) = match told.split_once(" default ") {
        Some((told, default)) => (told, Some(default.to_owned())),
        None => (told, None),
    };
    let (kind, nullable) = match told.strip_suffix(" not null") {
        Some(kind) => (kind, false),
        None => (told, true),
    };
    Column {
        table: table.to_owned(),
        name: name.to_owned(),
        kind: kind.to_owned(),
        nullable,
        default,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_line_of_every_file() {
        for text in Family::ALL.map(of) {
            let expected = text.lines().filter(|line| !line.starts_with('#')).count();
            let found = read(text);
            assert_eq!(found.len(), expected);
            assert!(found.iter().any(|line| line.by_patch));
        }
    }

    #[test]
    fn reads_what_the_notation_says() {
        let found = read(
            "# comment\n\
             table t @ 7.11-7.24\n\
             column a_ character varying(64) not null default 1 @ 7.12,7.20-7.24\n\
             unique-index i (a_, b_(10)) +patch\n\
             foreign f (a_) to other\n\
             nonsense\n",
        );
        assert_eq!(found.len(), 4);
        let column = &found[1].catalog.columns[0];
        assert_eq!(
            (column.kind.as_str(), column.nullable),
            ("character varying(64)", false)
        );
        assert_eq!(column.default.as_deref(), Some("1"));
        let has = |minor| found[1].minors.has(Minor::new(minor));
        assert!(has(12) && !has(13) && has(20) && has(24));
        assert!(
            !found[2].minors.has(Minor::new(10)),
            "of its table's versions"
        );
        let index = &found[2].catalog.indexes[0];
        assert_eq!(index.columns, ["a_", "b_(10)"]);
        assert!(index.unique && found[2].by_patch && found[2].catalog.constraints.is_empty());
        let foreign = &found[3].catalog;
        assert_eq!(foreign.constraints[0].references.as_deref(), Some("other"));
        assert!(foreign.indexes.is_empty());
    }
}
