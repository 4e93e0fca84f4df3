//! What a statement does, as far as the host knows how to look for it.

/// A column that a statement adds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewColumn {
    /// Its name in the catalog.
    pub name: String,
    /// Its type in the catalog's words: `character varying(64)`, `datetime(3)`.
    pub kind: String,
    /// It may be null.
    pub nullable: bool,
    /// Its default.
    pub default: Option<Literal>,
    /// Its type as the statement has it.
    pub(super) written: String,
}

/// One value of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Literal {
    /// `null`.
    Null,
    /// Text.
    Text(String),
    /// A number, as it is written.
    Number(String),
    /// `true`, `false`.
    Flag(bool),
    /// `CURRENT_TIMESTAMP`: the server's clock when the statement runs.
    Now,
}

/// A constraint that a statement adds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NewConstraint {
    /// `foreign key (columns) references table (columns)`.
    ForeignKey {
        /// Of the table.
        columns: Vec<String>,
        /// Which other one.
        references: String,
        /// Its columns.
        referred: Vec<String>,
    },
    /// `unique (columns)`.
    Unique {
        /// Which.
        columns: Vec<String>,
    },
}

/// What a statement does, as far as the host knows how to look for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shape {
    /// `alter table ... add column ...`.
    AddColumns {
        /// Which table.
        table: String,
        /// In order.
        columns: Vec<NewColumn>,
    },
    /// `create index ... on ...`.
    CreateIndex {
        /// Which table.
        table: String,
        /// The index.
        name: String,
        /// In order.
        columns: Vec<String>,
        /// No two rows alike.
        unique: bool,
        /// Without a lock that writers wait for (PostgreSQL); not inside a transaction.
        concurrently: bool,
    },
    /// `drop index ...`.
    DropIndex {
        /// Which table, where the dialect names it.
        table: Option<String>,
        /// The index.
        name: String,
    },
    /// `alter table ... add constraint ...`.
    AddConstraint {
        /// Which table.
        table: String,
        /// The constraint.
        name: String,
        /// What it demands.
        what: NewConstraint,
    },
    /// `create table ...`.
    CreateTable {
        /// Its name.
        table: String,
        /// In order.
        columns: Vec<NewColumn>,
        /// Columns of its primary key.
        primary_key: Vec<String>,
    },
    /// `insert into ... values (...)`, one row.
    InsertRow {
        /// Which table.
        table: String,
        /// Names, where the statement has them.
        columns: Vec<String>,
        /// In order.
        values: Vec<Literal>,
    },
}
