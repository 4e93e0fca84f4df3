//! What `show servers state`, `show stat` and `show table` say, by the names in their headers: columns come and go
//! between versions.

use std::collections::{BTreeMap, BTreeSet};

use csv::StringRecord;
use liftlock_types::ReadError;
use liftlock_types::facts::traffic::{Administrative, Server};

use super::unexpected;
use crate::answer::shown;

/// Bits of `srv_admin_state` that mean maintenance: asked for, taken over from a tracked server, address not
/// resolved. Bit 4 only says that the configuration began it so.
const MAINTENANCE: u32 = 0x01 | 0x02 | 0x20;

/// Bits that mean drain: asked for, taken over.
const DRAIN: u32 = 0x08 | 0x10;

/// `srv_op_state`: starting slowly and running. 0 is stopped, 3 stopping: its check answers "no new ones".
const UP: [&str; 2] = ["1", "2"];

/// An answer with a header.
struct Table {
    columns: StringRecord,
    rows: Vec<StringRecord>,
}

/// One row of it.
#[derive(Clone, Copy)]
struct Row<'a> {
    columns: &'a StringRecord,
    record: &'a StringRecord,
}

impl Table {
    /// From the line behind `# ` on, which names the columns.
    fn of(answer: &str, reader: &mut csv::ReaderBuilder) -> Option<Self> {
        let answer = answer.trim_start_matches('\n').strip_prefix("# ")?;
        let mut reader = reader.flexible(true).from_reader(answer.as_bytes());
        let columns = reader.headers().ok()?.clone();
        let rows = reader.records().collect::<Result<_, _>>().ok()?;
        Some(Self { columns, rows })
    }

    fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        self.rows.iter().map(|record| Row {
            columns: &self.columns,
            record,
        })
    }
}

impl<'a> Row<'a> {
    /// Nothing where there is no such column.
    fn text(self, name: &str) -> &'a str {
        self.columns
            .iter()
            .position(|column| column == name)
            .and_then(|place| self.record.get(place))
            .unwrap_or_default()
    }

    fn number<T: std::str::FromStr>(self, name: &str) -> Result<T, ReadError> {
        let value = self.text(name);
        value
            .parse()
            .map_err(|_| unexpected(&format!("a column `{name}`"), value))
    }
}

/// All servers of the three answers.
pub(crate) fn servers(states: &str, stats: &str, tables: &str) -> Result<Vec<Server>, ReadError> {
    let states = state_rows(states)?;
    let stats = stat_rows(stats)?;
    let rows: BTreeMap<(&str, &str), Row<'_>> = stats
        .rows()
        .map(|row| ((row.text("pxname"), row.text("svname")), row))
        .collect();
    let with_table = with_table(tables);
    states
        .rows()
        .map(|state| {
            let backend = state.text("be_name");
            let name = state.text("srv_name");
            let Some(stat) = rows.get(&(backend, name)) else {
                // Two answers of two configurations.
                return Err(ReadError::Unavailable(format!(
                    "HAProxy was reloaded while `{backend}/{name}` was looked at"
                )));
            };
            let backend = rows.get(&(backend, "BACKEND")).copied();
            server(state, *stat, backend, &with_table)
        })
        .collect()
}

fn server(
    state: Row<'_>,
    stat: Row<'_>,
    backend: Option<Row<'_>>,
    with_table: &BTreeSet<String>,
) -> Result<Server, ReadError> {
    let bits: u32 = state.number("srv_admin_state")?;
    let administrative = match bits {
        bits if bits & MAINTENANCE != 0 => Administrative::Maintenance,
        bits if bits & DRAIN != 0 => Administrative::Drain,
        _ => Administrative::Ready,
    };
    let weight: u32 = state.number("srv_uweight")?;
    let up = UP.contains(&state.text("srv_op_state"));
    let is_spare = stat.text("bck") == "1";
    let of_backend = |name: &str| backend.map_or("", |row| row.text(name));
    // Spares get requests once no other server can.
    let waits = is_spare && of_backend("act") != "0";
    let mut more = vec![("status".to_owned(), shown(stat.text("status")))];
    let check = stat.text("check_status").trim_start_matches("* ");
    if !check.is_empty() {
        more.push(("check".to_owned(), shown(check)));
    }
    if is_spare {
        more.push(("spare".to_owned(), "true".to_owned()));
    }
    let name = state.text("be_name");
    Ok(Server {
        backend: name.to_owned(),
        name: state.text("srv_name").to_owned(),
        address: address(state, stat),
        administrative,
        up,
        serving: up && administrative == Administrative::Ready && weight > 0 && !waits,
        current: Some(stat.number("scur")?),
        queued: Some(stat.number("qcur")?),
        total: Some(stat.number("stot")?),
        weight,
        sticky: !of_backend("cookie").is_empty()
            || of_backend("algo") == "source"
            || with_table.contains(name),
        more,
    })
}

fn address(state: Row<'_>, stat: Row<'_>) -> String {
    let (host, port) = (state.text("srv_addr"), state.text("srv_port"));
    match host {
        // Not an IP address: as the statistics have it, for levels that show it.
        "" | "-" => shown(stat.text("addr")),
        host if host.contains(':') => format!("[{host}]:{port}"),
        host => format!("{host}:{port}"),
    }
}

/// `1`, then a header after `#`, then rows with single blanks.
fn state_rows(answer: &str) -> Result<Table, ReadError> {
    let (version, table) = answer
        .trim_start_matches('\n')
        .split_once('\n')
        .unwrap_or_default();
    Some(table)
        .filter(|_| version.bytes().all(|b| b.is_ascii_digit()))
        .and_then(|table| {
            Table::of(
                table,
                csv::ReaderBuilder::new().delimiter(b' ').quoting(false),
            )
        })
        .ok_or_else(|| unexpected("show servers state", answer))
}

/// A header after `# `, then rows with commas; a text with a comma stands in quotes.
fn stat_rows(answer: &str) -> Result<Table, ReadError> {
    Table::of(answer, &mut csv::ReaderBuilder::new()).ok_or_else(|| unexpected("show stat", answer))
}

/// `# table: NAME, type: ip, ...`: a backend's own table bears its name.
fn with_table(answer: &str) -> BTreeSet<String> {
    answer
        .lines()
        .filter_map(|line| line.strip_prefix("# table: ")?.split(',').next())
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    // As 2.6.12 writes them, some columns left out.
    const STATES: &str = "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_port\n\
        3 be 1 n1 127.0.0.1 2 0 1 1001\n3 be 2 n2 127.0.0.1 0 5 1 1002\n3 be 3 n3 ::1 2 8 7 1003\n\
        3 be 4 n4 127.0.0.1 2 0 1 1004\n4 st 1 u1 - 2 4 1 0\n4 st 2 u2 127.0.0.1 2 0 0 1005\n\n";
    const STATS: &str = "# pxname,svname,qcur,scur,stot,status,act,bck,last_chk,check_status,addr,cookie,algo,\n\
        fe,FRONTEND,,1,9,OPEN,,,,,,,,\n\
        be,n1,2,3,40,UP 1/3,1,0,\"a, \"\"b\"\"\",* L7OK,127.0.0.1:1001,a,,\n\
        be,n2,0,0,0,MAINT,1,0,,,127.0.0.1:1002,b,,\nbe,n3,0,0,0,DRAIN,1,0,,,[::1]:1003,c,,\n\
        be,n4,0,0,0,UP,0,1,,,127.0.0.1:1004,d,,\nbe,BACKEND,0,0,0,UP,1,1,,,,SRV,roundrobin,\n\
        st,u1,0,0,0,no check,1,0,,,unix,,,\nst,u2,0,0,0,no check,1,0,,,127.0.0.1:1005,,,\n\
        st,BACKEND,0,0,0,UP,0,0,,,,,roundrobin,\n\n";

    #[test]
    fn columns_are_found_by_their_names() {
        let found = servers(STATES, STATS, "\n").unwrap();
        let n1 = &found[0];
        assert_eq!(
            (n1.current, n1.queued, n1.total),
            (Some(3), Some(2), Some(40))
        );
        assert_eq!(n1.address, "127.0.0.1:1001");
        assert!(n1.up && n1.serving && n1.sticky);
        let more = [("status", "UP 1/3"), ("check", "L7OK")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(n1.more, more);
        assert_eq!(found[2].address, "[::1]:1003");
        assert_eq!(
            (found[4].address.as_str(), found[4].sticky),
            ("unix", false)
        );
    }

    #[test]
    fn states_are_told_by_their_bits() {
        let found = servers(STATES, STATS, "\n").unwrap();
        let states: Vec<(&str, Administrative, bool)> = found
            .iter()
            .map(|it| (it.name.as_str(), it.administrative, it.serving))
            .collect();
        use Administrative::{Drain, Maintenance, Ready};
        assert_eq!(
            states,
            [
                ("n1", Ready, true),
                // Asked for, and so by the configuration.
                ("n2", Maintenance, false),
                ("n3", Drain, false),
                // A spare, while another server is active.
                ("n4", Ready, false),
                // Only the configuration began it so.
                ("u1", Ready, true),
                // Of weight 0.
                ("u2", Ready, false),
            ]
        );
        let none = STATS.replace("be,BACKEND,0,0,0,UP,1,1", "be,BACKEND,0,0,0,UP,0,1");
        assert!(servers(STATES, &none, "\n").unwrap()[3].serving);
    }

    #[test]
    fn a_table_and_a_hash_of_the_source_keep_clients_too() {
        let table = "# table: st, type: ip, size:10240, used:0\n\n";
        assert!(servers(STATES, STATS, table).unwrap()[4].sticky);
        let source = STATS.replace("roundrobin", "source");
        assert!(servers(STATES, &source, "\n").unwrap()[4].sticky);
    }

    #[test]
    fn what_is_no_answer_of_haproxy_is_said() {
        for (states, stats) in [
            ("", STATS),
            ("<html>", STATS),
            ("1\n2\n", STATS),
            (STATES, ""),
            (STATES, "HTTP/1.1 400\n"),
            (&STATES.replace("srv_admin_state", "x"), STATS),
            (STATES, &STATS.replace("scur", "x")),
        ] {
            let error = servers(states, stats, "").unwrap_err();
            assert!(matches!(error, ReadError::Rejected { .. }), "{error:?}");
        }
        let other = STATS.replace("be,n1,", "be,n9,");
        let error = servers(STATES, &other, "").unwrap_err();
        assert!(matches!(error, ReadError::Unavailable(_)), "{error:?}");
    }
}
