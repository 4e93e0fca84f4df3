use liftlock_types::sql::Statement;

use super::*;

fn column(name: &str, kind: &str, nullable: bool, default: Option<&str>) -> Column {
    Column {
        table: "t".into(),
        name: name.into(),
        kind: kind.into(),
        nullable,
        default: default.map(str::to_owned),
    }
}

fn of(dialect: Dialect, text: &str, found: &Found) -> Verdict {
    judge(
        dialect,
        Statement::parse(dialect, text).unwrap().shape(),
        found,
    )
}

fn with_columns(columns: Vec<Column>) -> Found {
    Found {
        columns,
        ..Found::default()
    }
}

#[test]
fn a_column_is_the_one_that_is_wanted_in_type_null_and_default() {
    let pg = Dialect::Postgresql;
    let text = "alter table t add column a integer not null default 1, add column b varchar(9) default 'x'";
    let a = || column("a", "integer", false, Some("1"));
    let b = || {
        column(
            "b",
            "character varying(9)",
            true,
            Some("'x'::character varying"),
        )
    };
    assert_eq!(
        of(pg, text, &with_columns(vec![a(), b()])),
        Verdict::Applied
    );
    assert_eq!(of(pg, text, &with_columns(vec![])), Verdict::Absent);
    assert!(
        matches!(of(pg, text, &with_columns(vec![a()])), Verdict::Part(why) if why.contains("`a`"))
    );
    for other in [
        column("a", "bigint", false, Some("1")),
        column("a", "integer", true, Some("1")),
        column("a", "integer", false, Some("2")),
        column("a", "integer", false, None),
    ] {
        let found = with_columns(vec![other, b()]);
        assert!(
            matches!(of(pg, text, &found), Verdict::Other(_)),
            "{found:?}"
        );
    }
}

#[test]
fn defaults_read_as_each_server_writes_them() {
    let pg = Dialect::Postgresql;
    let my = Dialect::Mysql;
    let text = |text: &str| Literal::Text(text.into());
    let number = |text: &str| Literal::Number(text.into());
    for (dialect, wanted, seen) in [
        (pg, Some(Literal::Flag(true)), Some("true")),
        (my, Some(Literal::Flag(true)), Some("1")),
        (pg, Some(Literal::Null), Some("NULL::character varying")),
        (pg, Some(number("-1")), Some("'-1'::integer")),
        (my, Some(number("-1")), Some("-1")),
        (my, Some(text("it's")), Some("'it''s'")),
        (my, Some(text("it's")), Some("'it\\'s'")),
        (my, Some(text("x")), Some("x")),
        (pg, Some(Literal::Now), Some("CURRENT_TIMESTAMP")),
        (my, Some(Literal::Now), Some("current_timestamp()")),
        (my, None, None),
    ] {
        assert!(
            is_default(dialect, wanted.as_ref(), seen),
            "{wanted:?} {seen:?}"
        );
    }
    for (wanted, seen) in [
        (Some(Literal::Flag(true)), Some("false")),
        (Some(text("x")), Some("'y'::character varying")),
        (Some(text("x")), None),
        (None, Some("1")),
        (Some(Literal::Now), Some("random()")),
    ] {
        assert!(
            !is_default(pg, wanted.as_ref(), seen),
            "{wanted:?} {seen:?}"
        );
    }
}

#[test]
fn an_index_is_the_one_that_is_wanted_in_table_columns_order_and_kind() {
    let index = || Index {
        table: "t".into(),
        name: "i".into(),
        columns: vec!["a".into(), "b".into()],
        unique: false,
        primary: false,
        valid: true,
        partial: false,
    };
    let judged = |change: fn(&mut Index)| {
        let mut index = index();
        change(&mut index);
        let found = Found {
            indexes: vec![index],
            ..Found::default()
        };
        of(Dialect::Postgresql, "create index i on t (a, b)", &found)
    };
    assert_eq!(judged(|_| ()), Verdict::Applied);
    assert_eq!(judged(|it| it.valid = false), Verdict::Unfinished);
    assert_eq!(judged(|it| it.name = "j".into()), Verdict::Absent);
    for other in [
        judged(|it| it.table = "u".into()),
        judged(|it| it.columns.reverse()),
        judged(|it| it.unique = true),
        judged(|it| it.partial = true),
    ] {
        assert!(matches!(other, Verdict::Other(_)), "{other:?}");
    }
    let found = Found {
        indexes: vec![index()],
        ..Found::default()
    };
    assert_eq!(
        of(Dialect::Postgresql, "drop index i", &found),
        Verdict::Absent
    );
    assert_eq!(
        of(Dialect::Postgresql, "drop index j", &found),
        Verdict::Applied
    );
    assert_eq!(
        of(Dialect::Mysql, "create index I on t (A, B)", &found),
        Verdict::Applied
    );
}

#[test]
fn a_constraint_and_a_table_are_compared_in_every_part() {
    let pg = Dialect::Postgresql;
    let constraint = Constraint {
        table: "t".into(),
        name: "c".into(),
        kind: "foreign-key".into(),
        columns: vec!["a".into()],
        references: Some("o".into()),
        referred: vec!["b".into()],
    };
    let found = Found {
        constraints: vec![constraint],
        ..Found::default()
    };
    let fk = |rest: &str| {
        of(
            pg,
            &format!("alter table t add constraint c {rest}"),
            &found,
        )
    };
    assert_eq!(fk("foreign key (a) references o (b)"), Verdict::Applied);
    for other in [
        "foreign key (x) references o (b)",
        "foreign key (a) references p (b)",
        "unique (a)",
    ] {
        assert!(matches!(fk(other), Verdict::Other(_)), "{other}");
    }
    let key = |columns: &[&str]| Constraint {
        table: "t".into(),
        name: "t_pkey".into(),
        kind: "primary-key".into(),
        columns: columns.iter().map(ToString::to_string).collect(),
        references: None,
        referred: vec![],
    };
    let table = |columns: Vec<Column>, key: Constraint| Found {
        columns,
        constraints: vec![key],
        ..Found::default()
    };
    let a = || column("a", "integer", false, None);
    let b = || column("b", "text", true, None);
    let text = "create table t (a integer, b text, primary key (a))";
    assert_eq!(
        of(pg, text, &table(vec![a(), b()], key(&["a"]))),
        Verdict::Applied
    );
    for other in [
        table(vec![a()], key(&["a"])),
        table(vec![b(), a()], key(&["a"])),
        table(vec![a(), b()], key(&["b"])),
    ] {
        assert!(
            matches!(of(pg, text, &other), Verdict::Other(_)),
            "{other:?}"
        );
    }
}

#[test]
fn a_row_with_the_key_and_other_values_is_another_row() {
    let with = |same, same_key| Found {
        rows: Rows { same, same_key },
        ..Found::default()
    };
    let judged = |found: &Found| of(Dialect::Postgresql, "insert into t values ('1')", found);
    assert_eq!(judged(&with(1, 1)), Verdict::Applied);
    assert_eq!(judged(&with(0, 0)), Verdict::Absent);
    assert!(matches!(judged(&with(0, 1)), Verdict::Other(_)));
}
