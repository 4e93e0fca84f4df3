//! One `SELECT`, understood as far as a grant has to: which tables it reads, and that it does nothing else.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};
use sqlparser::ast::{
    Expr, ObjectName, Query as Select, SetExpr, Statement as Ast, TableFactor, Value, Visit,
    Visitor,
};

use super::{Dialect, Result, SqlError, Written, parsed, refused, table};

/// Functions that a query may call: none of them changes anything, waits, or reads beyond the tables that it names.
const FUNCTIONS: [&str; 12] = [
    "abs",
    "avg",
    "char_length",
    "coalesce",
    "count",
    "length",
    "lower",
    "max",
    "min",
    "nullif",
    "sum",
    "upper",
];

/// One `SELECT` over known tables.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Query {
    dialect: Dialect,
    known: Box<Known>,
}

/// What is known of it; apart, since reads and predicates hold queries beside much smaller things.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Known {
    text: String,
    tables: BTreeSet<String>,
    parameters: usize,
}

impl TryFrom<Written> for Query {
    type Error = SqlError;
    fn try_from(written: Written) -> Result<Self> {
        Self::parse(written.dialect, &written.sql)
    }
}

impl From<Query> for Written {
    fn from(query: Query) -> Self {
        Self {
            dialect: query.dialect,
            sql: query.known.text,
        }
    }
}

impl Query {
    /// Whose SQL.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// What is hashed and shown; its values stand as `$1`, `$2`, ... or `?`.
    pub fn text(&self) -> &str {
        &self.known.text
    }

    /// Tables that it reads, by their names in the catalog.
    pub fn tables(&self) -> &BTreeSet<String> {
        &self.known.tables
    }

    /// How many values it takes.
    pub fn parameters(&self) -> usize {
        self.known.parameters
    }

    /// Understands one query, or says what of it is not allowed.
    pub fn parse(dialect: Dialect, text: &str) -> Result<Self> {
        let ast = parsed(dialect, text)?;
        let Ast::Query(_) = &ast else {
            return refused("only a SELECT reads");
        };
        let mut seen = Reads {
            dialect,
            tables: BTreeSet::new(),
            parameters: BTreeSet::new(),
            marks: 0,
        };
        if let ControlFlow::Break(why) = ast.visit(&mut seen) {
            return refused(why);
        }
        let parameters = seen.marks.max(seen.parameters.len());
        if dialect == Dialect::Postgresql
            && seen
                .parameters
                .iter()
                .copied()
                .ne(1..=seen.parameters.len())
        {
            return refused("its parameters are not $1, $2, ... without a gap");
        }
        Ok(Self {
            dialect,
            known: Box::new(Known {
                text: ast.to_string(),
                tables: seen.tables,
                parameters,
            }),
        })
    }
}

struct Reads {
    dialect: Dialect,
    tables: BTreeSet<String>,
    parameters: BTreeSet<usize>,
    marks: usize,
}

impl Visitor for Reads {
    type Break = String;

    fn pre_visit_query(&mut self, query: &Select) -> ControlFlow<String> {
        // A name of a WITH would hide whether a table or the WITH is meant.
        let odd = [
            (query.with.is_some(), "WITH"),
            (!query.locks.is_empty(), "FOR UPDATE"),
            (query.for_clause.is_some(), "FOR"),
            (query.settings.is_some(), "SETTINGS"),
            (query.format_clause.is_some(), "FORMAT"),
            (!query.pipe_operators.is_empty(), "|>"),
        ];
        match odd.iter().find(|(is_there, _)| *is_there) {
            Some((_, what)) => ControlFlow::Break(format!("a query may have no {what}")),
            None if !is_select(&query.body) => ControlFlow::Break("only a SELECT reads".to_owned()),
            None => ControlFlow::Continue(()),
        }
    }

    fn pre_visit_select(&mut self, select: &sqlparser::ast::Select) -> ControlFlow<String> {
        if select.into.is_some() {
            return ControlFlow::Break("a query may have no INTO".into());
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<String> {
        match table(self.dialect, relation) {
            Ok(name) => {
                self.tables.insert(name);
                ControlFlow::Continue(())
            }
            Err(SqlError(why)) => ControlFlow::Break(why),
        }
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<String> {
        match factor {
            TableFactor::Table { args: None, .. }
            | TableFactor::Derived { .. }
            | TableFactor::NestedJoin { .. } => ControlFlow::Continue(()),
            other => ControlFlow::Break(format!("`{other}` is no table")),
        }
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<String> {
        match expr {
            Expr::Function(function) => {
                let name = function.name.to_string().to_lowercase();
                if !FUNCTIONS.contains(&name.as_str()) {
                    return ControlFlow::Break(format!(
                        "the function `{name}` is none of those that a query may call: {}",
                        FUNCTIONS.join(", ")
                    ));
                }
            }
            Expr::Value(value) => {
                if let Value::Placeholder(mark) = &value.value {
                    let number = mark.strip_prefix('$').and_then(|it| it.parse().ok());
                    match (self.dialect, number) {
                        (Dialect::Postgresql, Some(number)) => {
                            self.parameters.insert(number);
                        }
                        (Dialect::Mysql, None) if mark == "?" => self.marks += 1,
                        _ => return ControlFlow::Break(format!("`{mark}` is no parameter here")),
                    }
                }
            }
            // Reads variables of the server or the session.
            Expr::Identifier(ident)
                if ident.quote_style.is_none() && ident.value.starts_with('@') =>
            {
                return ControlFlow::Break(format!("`{ident}` is no column"));
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

fn is_select(body: &SetExpr) -> bool {
    match body {
        SetExpr::Select(_) | SetExpr::Query(_) => true,
        SetExpr::SetOperation { left, right, .. } => is_select(left) && is_select(right),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_names_the_tables_that_it_reads() {
        let query = Query::parse(
            Dialect::Postgresql,
            "select a.X, count(*) from A a left join B on a.X = B.Y where exists (select 1 from C where D = $1) \
             union all select Z, 1 from \"E\" group by Z order by 1 limit 5",
        )
        .unwrap();
        let tables: Vec<&str> = query.tables().iter().map(String::as_str).collect();
        assert_eq!(tables, ["E", "a", "b", "c"]);
        assert_eq!(query.parameters(), 1);
        let query = Query::parse(Dialect::Mysql, "select * from T where A = ? and B <> ?").unwrap();
        assert_eq!(query.parameters(), 2);
        assert!(query.tables().contains("T"));
    }

    #[test]
    fn what_does_more_than_read_known_tables_is_refused() {
        for text in [
            "delete from t",
            "with x as (select 1) select * from x",
            "select * into n from t",
            "select * from t for update",
            "select * from other.t",
            "select * from liftlock_marker",
            "select pg_sleep(1)",
            "select pg_read_file('x') from t",
            "select * from t where a = (select nextval('s'))",
            "select * from generate_series(1, 10)",
            "select * from unnest(array[1])",
            "values (1)",
            "table t",
            "select 1; select 2",
            "select 1 -- x",
            "select * from t where a = $2",
            "select * from t where a = ?",
            "explain select 1",
        ] {
            assert!(Query::parse(Dialect::Postgresql, text).is_err(), "{text}");
        }
        for text in [
            "select * from t into outfile 'x'",
            "select @@version",
            "select sleep(1) from t",
            "select load_file('x')",
            "select * from t lock in share mode",
            "select 'a\\' from t",
        ] {
            assert!(Query::parse(Dialect::Mysql, text).is_err(), "{text}");
        }
    }
}
