//! One statement of a known shape.

use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};
use sqlparser::ast::{Ident, Statement as Ast};

use super::shape::{NewConstraint, Shape};
use super::understand::shape;
use super::write::written;
use super::{Dialect, Result, SqlError, Written, parsed, refused};

/// One statement of a known shape.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Statement {
    dialect: Dialect,
    shape: Box<Shape>,
    text: String,
}

impl TryFrom<Written> for Statement {
    type Error = SqlError;
    fn try_from(written: Written) -> Result<Self> {
        Self::parse(written.dialect, &written.sql)
    }
}

impl From<Statement> for Written {
    fn from(statement: Statement) -> Self {
        Self {
            dialect: statement.dialect,
            sql: statement.text,
        }
    }
}

impl Statement {
    /// Understands one statement, or says what of it is not.
    pub fn parse(dialect: Dialect, text: &str) -> Result<Self> {
        let ast = parsed(dialect, text)?;
        let shape = shape(dialect, &ast)?;
        let text = written(dialect, &shape);
        // Whatever the shape does not carry would show here.
        let again = parsed(dialect, &text)?;
        if shape_of_text(&again) != shape_of_text(&quoted(dialect, &ast)) {
            return refused(format!(
                "only a part of it is understood: `{ast}` would be sent as `{text}`"
            ));
        }
        Ok(Self {
            dialect,
            shape: Box::new(shape),
            text,
        })
    }

    /// Whose SQL.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// What it does.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// What is hashed, shown and sent.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What it touches, by its name in the catalog: tables, and the index that a `drop index` of PostgreSQL names
    /// without its table.
    pub fn names(&self) -> Vec<&str> {
        match &*self.shape {
            Shape::AddColumns { table, .. }
            | Shape::CreateIndex { table, .. }
            | Shape::CreateTable { table, .. }
            | Shape::InsertRow { table, .. } => vec![table],
            Shape::AddConstraint { table, what, .. } => match what {
                NewConstraint::ForeignKey { references, .. } => vec![table, references],
                NewConstraint::Unique { .. } => vec![table],
            },
            Shape::DropIndex { table, name } => vec![table.as_ref().unwrap_or(name)],
        }
    }
}

/// Without what does not matter between two writings of one statement.
fn shape_of_text(ast: &Ast) -> String {
    ast.to_string().replace(" COLUMN ", " ").to_lowercase()
}

/// With the catalog's names, in quotes, in the place of those that were written.
fn quoted(dialect: Dialect, ast: &Ast) -> Ast {
    struct Names(Dialect);
    impl sqlparser::ast::VisitorMut for Names {
        type Break = ();
        fn pre_visit_ident(&mut self, ident: &mut Ident) -> ControlFlow<()> {
            if !ident.value.eq_ignore_ascii_case("current_timestamp") {
                ident.value = self.0.folded(ident);
                ident.quote_style = Some(if self.0 == Dialect::Postgresql {
                    '"'
                } else {
                    '`'
                });
            }
            ControlFlow::Continue(())
        }
    }
    let mut ast = ast.clone();
    let _ = sqlparser::ast::VisitMut::visit(&mut ast, &mut Names(dialect));
    ast
}

#[cfg(test)]
mod tests {
    use super::super::{Literal, NewColumn};
    use super::*;

    fn understood(dialect: Dialect, text: &str) -> Statement {
        Statement::parse(dialect, text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn the_text_that_is_sent_is_written_from_what_was_understood() {
        for (dialect, text, sent) in [
            (
                Dialect::Postgresql,
                "alter table ACT_HI_COMMENT add column REV_ integer not null default 1;",
                r#"ALTER TABLE "act_hi_comment" ADD COLUMN "rev_" INTEGER NOT NULL DEFAULT 1"#,
            ),
            (
                Dialect::Mysql,
                "alter table ACT_HI_COMMENT\n add REV_ INTEGER not null default -1",
                "ALTER TABLE `ACT_HI_COMMENT` ADD COLUMN `REV_` INTEGER NOT NULL DEFAULT -1",
            ),
            (
                Dialect::Postgresql,
                "create index concurrently I on T(A, \"B\")",
                r#"CREATE INDEX CONCURRENTLY "i" ON "t" ("a", "B")"#,
            ),
            (Dialect::Mysql, "drop index I on T", "DROP INDEX `I` ON `T`"),
            (
                Dialect::Postgresql,
                "insert into L values ('1', CURRENT_TIMESTAMP, 'it''s', null, true)",
                r#"INSERT INTO "l" VALUES ('1', CURRENT_TIMESTAMP, 'it''s', NULL, TRUE)"#,
            ),
            (
                Dialect::Postgresql,
                "alter table T add constraint C foreign key (A) references O (B)",
                r#"ALTER TABLE "t" ADD CONSTRAINT "c" FOREIGN KEY ("a") REFERENCES "o" ("b")"#,
            ),
            (
                Dialect::Postgresql,
                "create table T (A varchar(64) not null, B bigint, primary key (A))",
                r#"CREATE TABLE "t" ("a" VARCHAR(64) NOT NULL, "b" BIGINT, PRIMARY KEY ("a"))"#,
            ),
        ] {
            let statement = understood(dialect, text);
            assert_eq!(statement.text(), sent);
            // What is sent is understood as the same.
            assert_eq!(understood(dialect, sent), statement);
        }
    }

    #[test]
    fn a_clause_that_no_shape_carries_is_refused_and_never_dropped() {
        for text in [
            "create index if not exists i on t (a)",
            "create index i on t (a desc)",
            "create index i on t (a) where a > 1",
            "create index i on t using hash (a)",
            "create index i on t (lower(a))",
            "create table t (a integer) with (fillfactor = 10)",
            "create table t (a integer check (a > 1))",
            "create table t (a numeric(10, 2))",
            "create temporary table t (a integer)",
            "alter table t add column a integer, drop column b",
            "alter table t add column a integer default random()",
            "alter table t add constraint c foreign key (a) references o (b) on delete cascade",
            "alter table t drop column a",
            "alter table only t add column a integer",
            "drop table t",
            "drop index i cascade",
            "drop index i, j",
            "alter table LIFTLOCK_CLAIM add column a integer",
            "insert into t values ('1'), ('2')",
            "insert into t select * from o",
            "insert into t values ('1') on conflict do nothing",
            "insert into t values ('1') returning a",
            "insert into t values (now())",
            "update t set a = 1",
            "delete from t",
            "truncate t",
            "select 1",
            "grant all on t to public",
            "alter table other.t add column a integer",
            "alter table t add column a integer; drop table t",
            "alter table t add column a integer -- or not",
            "alter table t add column a integer /*! , drop column b */",
            "insert into t values ('a\\'')",
            "insert into t values (E'a')",
            "insert into t values ($$a$$)",
            "",
        ] {
            assert!(
                Statement::parse(Dialect::Postgresql, text).is_err(),
                "{text}"
            );
        }
        let long = format!("alter table {} add column a integer", "t".repeat(64));
        assert!(Statement::parse(Dialect::Postgresql, &long).is_err());
        assert!(
            Statement::parse(Dialect::Postgresql, "alter table tä add column a integer").is_err()
        );
        for text in [
            "create table t (a int) engine=InnoDB",
            "alter table t add column a int unsigned",
            "alter table t modify column a int",
            "insert into t values (\"a\")",
            "create index i on t (a(10))",
        ] {
            assert!(Statement::parse(Dialect::Mysql, text).is_err(), "{text}");
        }
    }

    #[test]
    fn it_names_every_table_that_it_touches() {
        let names = |dialect, text| understood(dialect, text).names().join(" ");
        let pg = Dialect::Postgresql;
        assert_eq!(names(pg, "alter table A add column b integer"), "a");
        assert_eq!(
            names(
                pg,
                "alter table A add constraint c foreign key (x) references B (y)"
            ),
            "a b"
        );
        assert_eq!(names(pg, "drop index I"), "i");
        assert_eq!(names(Dialect::Mysql, "drop index I on T"), "T");
    }

    #[test]
    fn types_are_in_the_words_of_the_catalog() {
        let kind = |dialect, kind: &str| {
            let text = format!("alter table t add column a {kind}");
            match understood(dialect, &text).shape() {
                Shape::AddColumns { columns, .. } => columns[0].kind.clone(),
                other => panic!("{other:?}"),
            }
        };
        let pg = Dialect::Postgresql;
        assert_eq!(kind(pg, "varchar(64)"), "character varying(64)");
        assert_eq!(kind(pg, "timestamp"), "timestamp without time zone");
        assert_eq!(kind(pg, "double precision"), "double precision");
        let my = Dialect::Mysql;
        assert_eq!(kind(my, "INTEGER"), "int");
        assert_eq!(kind(my, "datetime(3)"), "datetime(3)");
        assert_eq!(kind(my, "tinyint(1)"), "tinyint");
    }

    #[test]
    fn a_statement_reads_back_from_a_plan_and_a_changed_one_is_understood_anew() {
        let statement = understood(
            Dialect::Postgresql,
            "alter table t add column a boolean default true",
        );
        let text = serde_json::to_string(&statement).unwrap();
        assert_eq!(serde_json::from_str::<Statement>(&text).unwrap(), statement);
        let Shape::AddColumns { columns, .. } = statement.shape() else {
            panic!("another shape")
        };
        assert!(matches!(
            &columns[..],
            [NewColumn {
                default: Some(Literal::Flag(true)),
                ..
            }]
        ));
        let bad = text.replace("ADD COLUMN", "DROP COLUMN");
        assert!(serde_json::from_str::<Statement>(&bad).is_err(), "{bad}");
    }
}
