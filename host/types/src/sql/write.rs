//! From a shape to its one text: what is hashed, shown and sent.

use std::fmt::Write as _;

use super::Dialect;
use super::shape::{Literal, NewColumn, NewConstraint, Shape};

fn rendered(literal: &Literal) -> String {
    match literal {
        Literal::Null => "NULL".into(),
        Literal::Text(text) => format!("'{}'", text.replace('\'', "''")),
        Literal::Number(number) => number.clone(),
        Literal::Flag(flag) => if *flag { "TRUE" } else { "FALSE" }.into(),
        Literal::Now => "CURRENT_TIMESTAMP".into(),
    }
}

/// The one text of a shape.
pub(super) fn written(dialect: Dialect, shape: &Shape) -> String {
    let name = |name: &str| dialect.quoted(name);
    let names = |list: &[String]| {
        list.iter()
            .map(|it| name(it))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let column = |column: &NewColumn| {
        let mut text = format!("{} {}", name(&column.name), column.written);
        if !column.nullable {
            text.push_str(" NOT NULL");
        }
        if let Some(default) = &column.default {
            let _ = write!(text, " DEFAULT {}", rendered(default));
        }
        text
    };
    match shape {
        Shape::AddColumns { table, columns } => {
            let added: Vec<String> = columns
                .iter()
                .map(|it| format!("ADD COLUMN {}", column(it)))
                .collect();
            format!("ALTER TABLE {} {}", name(table), added.join(", "))
        }
        Shape::CreateIndex {
            table,
            name: index,
            columns,
            unique,
            concurrently,
        } => format!(
            "CREATE {}INDEX {}{} ON {} ({})",
            if *unique { "UNIQUE " } else { "" },
            if *concurrently { "CONCURRENTLY " } else { "" },
            name(index),
            name(table),
            names(columns)
        ),
        Shape::DropIndex { table, name: index } => {
            let of = table.as_ref().map(|table| format!(" ON {}", name(table)));
            format!("DROP INDEX {}{}", name(index), of.unwrap_or_default())
        }
        Shape::AddConstraint {
            table,
            name: constraint,
            what,
        } => {
            let what = match what {
                NewConstraint::ForeignKey {
                    columns,
                    references,
                    referred,
                } => format!(
                    "FOREIGN KEY ({}) REFERENCES {} ({})",
                    names(columns),
                    name(references),
                    names(referred)
                ),
                NewConstraint::Unique { columns } => format!("UNIQUE ({})", names(columns)),
            };
            format!(
                "ALTER TABLE {} ADD CONSTRAINT {} {what}",
                name(table),
                name(constraint)
            )
        }
        Shape::CreateTable {
            table,
            columns,
            primary_key,
        } => {
            let mut parts: Vec<String> = columns.iter().map(column).collect();
            if !primary_key.is_empty() {
                parts.push(format!("PRIMARY KEY ({})", names(primary_key)));
            }
            format!("CREATE TABLE {} ({})", name(table), parts.join(", "))
        }
        Shape::InsertRow {
            table,
            columns,
            values,
        } => {
            let columns = if columns.is_empty() {
                String::new()
            } else {
                format!(" ({})", names(columns))
            };
            let values: Vec<String> = values.iter().map(rendered).collect();
            format!(
                "INSERT INTO {}{columns} VALUES ({})",
                name(table),
                values.join(", ")
            )
        }
    }
}
