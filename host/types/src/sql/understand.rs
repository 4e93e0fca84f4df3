//! From a parsed statement to its shape; what has none is refused with the part that is not understood.

use sqlparser::ast::{
    AlterTableOperation, ColumnDef, ColumnOption, DataType, ExactNumberInfo, Expr,
    FunctionArguments, Ident, ObjectType, SetExpr, Statement as Ast, TableConstraint, TableObject,
    TimezoneInfo, UnaryOperator, Value,
};

use super::shape::{Literal, NewColumn, NewConstraint, Shape};
use super::{Dialect, Result, refused, table};

pub(super) fn shape(dialect: Dialect, ast: &Ast) -> Result<Shape> {
    match ast {
        Ast::AlterTable(alter) => {
            let table = table(dialect, &alter.name)?;
            if let [AlterTableOperation::AddConstraint { constraint, .. }] =
                alter.operations.as_slice()
            {
                return constraint_of(dialect, table, constraint);
            }
            let mut columns = Vec::new();
            for operation in &alter.operations {
                match operation {
                    AlterTableOperation::AddColumn { column_def, .. } => {
                        columns.push(column(dialect, column_def)?);
                    }
                    other => {
                        return refused(format!("`{other}` is nothing that can be looked for"));
                    }
                }
            }
            Ok(Shape::AddColumns { table, columns })
        }
        Ast::CreateIndex(create) => {
            let Some(name) = &create.name else {
                return refused("an index needs a name");
            };
            let mut columns = Vec::new();
            for part in &create.columns {
                match &part.column.expr {
                    Expr::Identifier(ident) => columns.push(dialect.folded(ident)),
                    other => return refused(format!("`{other}` is no column")),
                }
            }
            Ok(Shape::CreateIndex {
                table: table(dialect, &create.table_name)?,
                name: table(dialect, name)?,
                columns,
                unique: create.unique,
                concurrently: create.concurrently,
            })
        }
        Ast::Drop {
            object_type: ObjectType::Index,
            names,
            table: of,
            ..
        } => {
            let [name] = names.as_slice() else {
                return refused("one index at a time");
            };
            Ok(Shape::DropIndex {
                table: of.as_ref().map(|of| table(dialect, of)).transpose()?,
                name: table(dialect, name)?,
            })
        }
        Ast::CreateTable(create) => {
            let mut columns = Vec::new();
            for definition in &create.columns {
                columns.push(column(dialect, definition)?);
            }
            let mut primary_key = Vec::new();
            for constraint in &create.constraints {
                match constraint {
                    TableConstraint::PrimaryKey(key) => {
                        for part in &key.columns {
                            match &part.column.expr {
                                Expr::Identifier(ident) => primary_key.push(dialect.folded(ident)),
                                other => return refused(format!("`{other}` is no column")),
                            }
                        }
                    }
                    other => {
                        return refused(format!("`{other}` is nothing that can be looked for"));
                    }
                }
            }
            Ok(Shape::CreateTable {
                table: table(dialect, &create.name)?,
                columns,
                primary_key,
            })
        }
        Ast::Insert(insert) => {
            let TableObject::TableName(name) = &insert.table else {
                return refused("only a table takes rows");
            };
            let mut columns = Vec::new();
            for column in &insert.columns {
                columns.push(table(dialect, column)?);
            }
            let rows = match insert.source.as_deref().map(|source| source.body.as_ref()) {
                Some(SetExpr::Values(values)) => &values.rows,
                _ => return refused("only `values (...)` can be looked for"),
            };
            let [row] = rows.as_slice() else {
                return refused("one row at a time");
            };
            let mut values = Vec::new();
            for value in &row.content {
                values.push(literal(value)?);
            }
            Ok(Shape::InsertRow {
                table: table(dialect, name)?,
                columns,
                values,
            })
        }
        other => refused(format!("`{other}` is nothing that can be looked for")),
    }
}

fn constraint_of(
    dialect: Dialect,
    table_name: String,
    constraint: &TableConstraint,
) -> Result<Shape> {
    let names = |idents: &[Ident]| {
        idents
            .iter()
            .map(|it| dialect.folded(it))
            .collect::<Vec<_>>()
    };
    let (name, what) = match constraint {
        TableConstraint::ForeignKey(key) => (
            &key.name,
            NewConstraint::ForeignKey {
                columns: names(&key.columns),
                references: table(dialect, &key.foreign_table)?,
                referred: names(&key.referred_columns),
            },
        ),
        TableConstraint::Unique(unique) => {
            let mut columns = Vec::new();
            for part in &unique.columns {
                match &part.column.expr {
                    Expr::Identifier(ident) => columns.push(dialect.folded(ident)),
                    other => return refused(format!("`{other}` is no column")),
                }
            }
            (&unique.name, NewConstraint::Unique { columns })
        }
        other => return refused(format!("`{other}` is nothing that can be looked for")),
    };
    let Some(name) = name else {
        return refused("a constraint needs a name");
    };
    Ok(Shape::AddConstraint {
        table: table_name,
        name: dialect.folded(name),
        what,
    })
}

fn column(dialect: Dialect, definition: &ColumnDef) -> Result<NewColumn> {
    let mut nullable = true;
    let mut default = None;
    for option in &definition.options {
        match &option.option {
            ColumnOption::Null => {}
            ColumnOption::NotNull => nullable = false,
            ColumnOption::Default(value) => {
                default = Some(literal(value)?);
            }
            other => return refused(format!("`{other}` is nothing that can be looked for")),
        }
    }
    Ok(NewColumn {
        name: dialect.folded(&definition.name),
        kind: kind(dialect, &definition.data_type)?,
        nullable,
        default,
        written: definition.data_type.to_string(),
    })
}

/// The catalog's words for a type.
fn kind(dialect: Dialect, data_type: &DataType) -> Result<String> {
    let written = data_type.to_string().to_lowercase();
    if dialect == Dialect::Mysql {
        // Display widths of whole numbers mean nothing, and newer servers do not show them.
        let base = written.split('(').next().unwrap_or_default().to_owned();
        return Ok(match base.as_str() {
            "integer" | "int" => "int".into(),
            "bigint" | "smallint" | "tinyint" => base,
            "boolean" | "bool" => "tinyint".into(),
            "double" | "longblob" | "longtext" | "varchar" | "datetime" | "timestamp" | "text" => {
                written
            }
            _ => {
                return refused(format!(
                    "the type `{written}` is none that can be looked for"
                ));
            }
        });
    }
    Ok(match data_type {
        DataType::Varchar(_) | DataType::CharacterVarying(_) => {
            let length = written.split_once('(').map(|(_, rest)| format!("({rest}"));
            format!("character varying{}", length.unwrap_or_default())
        }
        DataType::Integer(_) | DataType::Int(_) => "integer".into(),
        DataType::BigInt(_) => "bigint".into(),
        DataType::SmallInt(_) => "smallint".into(),
        DataType::Boolean | DataType::Bool => "boolean".into(),
        DataType::Bytea => "bytea".into(),
        DataType::Text => "text".into(),
        DataType::DoublePrecision | DataType::Double(ExactNumberInfo::None) => {
            "double precision".into()
        }
        DataType::Timestamp(None, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone) => {
            "timestamp without time zone".into()
        }
        _ => {
            return refused(format!(
                "the type `{written}` is none that can be looked for"
            ));
        }
    })
}

fn literal(expr: &Expr) -> Result<Literal> {
    match expr {
        Expr::Value(value) => match &value.value {
            Value::Null => Ok(Literal::Null),
            Value::SingleQuotedString(text) => Ok(Literal::Text(text.clone())),
            Value::Number(number, _) => Ok(Literal::Number(number.to_string())),
            Value::Boolean(flag) => Ok(Literal::Flag(*flag)),
            other => refused(format!("`{other}` is no plain value")),
        },
        Expr::UnaryOp {
            op: UnaryOperator::Minus,
            expr,
        } => match literal(expr)? {
            Literal::Number(number) => Ok(Literal::Number(format!("-{number}"))),
            _ => refused(format!("`-{expr}` is no plain value")),
        },
        Expr::Function(function)
            if function
                .name
                .to_string()
                .eq_ignore_ascii_case("current_timestamp")
                && matches!(function.args, FunctionArguments::None) =>
        {
            Ok(Literal::Now)
        }
        other => refused(format!("`{other}` is no plain value")),
    }
}
