//! Statements of a script: split as the engine's own runner does, and told apart by their first words.
//!
//! The host parses each one strictly before it is sent; here they are only sorted.

/// One statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// Without comments and without the semicolon.
    pub text: String,
    /// The line on which it begins, from 1.
    pub line: usize,
    /// What it does.
    pub kind: Kind,
    /// The table that it is about, as it is written there; empty where that is not said.
    pub table: String,
    /// The column, index or constraint; empty where there is none.
    pub name: String,
}

/// What a statement does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Writes the version into the schema log.
    LogRow,
    /// Makes a table.
    Table,
    /// Adds a column.
    Column,
    /// Makes an index.
    Index,
    /// Drops an index.
    DropIndex,
    /// Adds a constraint.
    Constraint,
    /// Adds a row elsewhere.
    Row,
    /// Alters a column that is there.
    AlterColumn,
    /// Changes rows that are there.
    Rows,
    /// Nothing that is known.
    Other,
}

/// Takes a script apart: a statement ends with a semicolon at the end of a line, and may span lines. Lines that begin
/// with `--` are comments. No script of the vendor's has two statements on a line, or one in a text.
pub(crate) fn split(script: &str) -> Vec<Statement> {
    let mut found = Vec::new();
    let mut lines: Vec<&str> = Vec::new();
    let mut begin = 0;
    for (at, line) in script.lines().enumerate() {
        let line = line.trim_end();
        if line.trim_start().starts_with("--") || line.trim().is_empty() {
            continue;
        }
        if lines.is_empty() {
            begin = at + 1;
        }
        match line.strip_suffix(';') {
            None => lines.push(line),
            Some(last) => {
                lines.push(last);
                found.push(statement(lines.join("\n"), begin));
                lines.clear();
            }
        }
    }
    if !lines.is_empty() {
        found.push(statement(lines.join("\n"), begin));
    }
    found
}

fn statement(text: String, line: usize) -> Statement {
    let words: Vec<String> = words(&text);
    let lower: Vec<String> = words.iter().map(|word| word.to_lowercase()).collect();
    let lower: Vec<&str> = lower.iter().map(String::as_str).collect();
    // Places of table and name among the words; past the end where there is none.
    let none = words.len();
    let (kind, table, name) = match lower.as_slice() {
        ["insert", "into", "act_ge_schema_log", ..] => (Kind::LogRow, 2, none),
        ["insert", "into", _, ..] => (Kind::Row, 2, none),
        ["create", "table", _, ..] => (Kind::Table, 2, none),
        ["create", "index", _, "on", _, ..] => (Kind::Index, 4, 2),
        ["create", "unique", "index", _, "on", _, ..] => (Kind::Index, 5, 3),
        ["drop", "index", _, "on", _, ..] => (Kind::DropIndex, 4, 2),
        ["drop", "index", _, ..] => (Kind::DropIndex, none, 2),
        ["alter", "table", _, "add", "constraint", _, ..] => (Kind::Constraint, 2, 5),
        ["alter", "table", _, "add", "column", _, ..] => (Kind::Column, 2, 5),
        ["alter", "table", _, "add", _, ..] => (Kind::Column, 2, 4),
        ["alter", "table", _, "alter" | "modify", "column", _, ..] => (Kind::AlterColumn, 2, 5),
        ["alter", "table", _, "alter" | "modify" | "change", _, ..] => (Kind::AlterColumn, 2, 4),
        ["update", _, ..] => (Kind::Rows, 1, none),
        ["delete", "from", _, ..] => (Kind::Rows, 2, none),
        _ => (Kind::Other, none, none),
    };
    let at = |place: usize| words.get(place).cloned().unwrap_or_default();
    Statement {
        kind,
        table: at(table),
        name: at(name),
        text,
        line,
    }
}

/// Names and words; `ACT_RU_JOB(ID_)` are two of them.
fn words(text: &str) -> Vec<String> {
    let is_in_a_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.split(|c| !is_in_a_word(c))
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In our own words; the vendor's scripts are read by the tests on real servers.
    const SCRIPT: &str = "-- a comment; of no matter;\n\
        INSERT INTO ACT_GE_SCHEMA_LOG\n\
        values ('1', CURRENT_TIMESTAMP, 'x');\n\
        \n\
        alter table T add A varchar(64);\r\n\
        alter table T\n\
        \x20 -- between\n\
        \x20 ADD COLUMN B integer not null default 1;\n\
        create unique index I on T(A,\n\
        B) ;\n\
        alter table T add constraint F foreign key (A) references U(ID);\n\
        create table U (ID varchar(64));\n\
        alter table T modify column A varchar(255);\n\
        alter table T modify A varchar(255);\n\
        update T set A = 'a; b';\n\
        insert into T values (1);\n\
        drop index J;\n\
        drop index K on T;\n\
        create index L on T(A)";

    #[test]
    fn a_statement_ends_with_a_semicolon_at_the_end_of_a_line() {
        let found = split(SCRIPT);
        let lines: Vec<usize> = found.iter().map(|statement| statement.line).collect();
        assert_eq!(lines, [2, 5, 6, 9, 11, 12, 13, 14, 15, 16, 17, 18, 19]);
        assert_eq!(
            found[2].text,
            "alter table T\n  ADD COLUMN B integer not null default 1"
        );
        assert_eq!(found[1].text, "alter table T add A varchar(64)");
        assert_eq!(split("-- nothing\n\n"), []);
    }

    #[test]
    fn tells_statements_apart() {
        let found: Vec<(Kind, String, String)> = split(SCRIPT)
            .into_iter()
            .map(|statement| (statement.kind, statement.table, statement.name))
            .collect();
        let expected = [
            (Kind::LogRow, "ACT_GE_SCHEMA_LOG", ""),
            (Kind::Column, "T", "A"),
            (Kind::Column, "T", "B"),
            (Kind::Index, "T", "I"),
            (Kind::Constraint, "T", "F"),
            (Kind::Table, "U", ""),
            (Kind::AlterColumn, "T", "A"),
            (Kind::AlterColumn, "T", "A"),
            (Kind::Rows, "T", ""),
            (Kind::Row, "T", ""),
            (Kind::DropIndex, "", "J"),
            (Kind::DropIndex, "T", "K"),
            (Kind::Index, "T", "L"),
        ];
        assert_eq!(
            found,
            expected.map(|(kind, table, name)| (kind, table.to_owned(), name.to_owned()))
        );
    }

    #[test]
    fn what_is_not_known_is_said_so() {
        for text in [
            "truncate T",
            "alter table T drop column A",
            "do $$ begin end $$",
            "alter",
        ] {
            assert_eq!(split(text)[0].kind, Kind::Other, "{text}");
        }
    }
}
