//! What HAProxy's runtime API answers for the simulated servers: one command, one connection.

use std::fmt::Write as _;

use anyhow::Context;
use liftlock_types::facts::traffic::Administrative;
use tokio::io::AsyncBufReadExt;
use tokio::io::AsyncWriteExt;
use tokio::io::BufReader;
use tokio::net::TcpListener;
use tokio::net::TcpStream;

use super::machines::Machines;

/// The one backend.
pub const BACKEND: &str = "camunda";

/// Its address, as long as the runtime lives that it is served on.
pub async fn serve(machines: Machines) -> anyhow::Result<String> {
    let listener = TcpListener::bind(("127.0.0.1", 0))
        .await
        .context("no port for the balancer")?;
    let address = listener.local_addr()?.to_string();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let machines = machines.clone();
            // Who hangs up hears nothing.
            tokio::spawn(async move { answer(stream, &machines).await.ok() });
        }
    });
    Ok(address)
}

async fn answer(stream: TcpStream, machines: &Machines) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut command = String::new();
    stream.read_line(&mut command).await?;
    if machines.ask_balancer() {
        let told = told(command.trim(), machines);
        stream.write_all(told.as_bytes()).await?;
    }
    stream.shutdown().await
}

fn told(command: &str, machines: &Machines) -> String {
    let words: Vec<&str> = command.split(' ').collect();
    match words.as_slice() {
        ["show", "info"] => "Name: HAProxy\nVersion: 2.6.12\nnode: simulated\n\n".into(),
        ["show", "servers", "state", ..] => states(machines),
        ["show", "stat", ..] => statistics(machines),
        ["show", "table"] => "\n".into(),
        ["set", "server", of, what, value] => set(of, what, value, machines),
        _ => "Unknown command.\n".into(),
    }
}

fn states(machines: &Machines) -> String {
    let mut text = String::from(
        "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_port\n",
    );
    for (number, (name, server, up)) in machines.servers().into_iter().enumerate() {
        let administrative = match server.administrative {
            Administrative::Ready => 0,
            Administrative::Maintenance => 1,
            Administrative::Drain => 8,
        };
        let (number, operational) = (number + 1, if up { 2 } else { 0 });
        // Writing to a text does not fail.
        let _ = writeln!(
            text,
            "1 {BACKEND} {number} {name} 127.0.0.1 {operational} {administrative} {} {}",
            server.weight,
            1_000 + number
        );
    }
    text + "\n"
}

fn statistics(machines: &Machines) -> String {
    let mut text = String::from(
        "# pxname,svname,qcur,scur,stot,status,act,bck,check_status,addr,cookie,algo,\n",
    );
    for (number, (name, server, up)) in machines.servers().into_iter().enumerate() {
        let status = match server.administrative {
            Administrative::Ready if up => "UP",
            Administrative::Ready => "DOWN",
            Administrative::Drain => "DRAIN",
            Administrative::Maintenance => "MAINT",
        };
        let _ = writeln!(
            text,
            "{BACKEND},{name},0,{},{},{status},1,0,,127.0.0.1:{},,,",
            server.current,
            server.total,
            1_001 + number
        );
    }
    let _ = writeln!(text, "{BACKEND},BACKEND,0,0,0,UP,1,0,,,,roundrobin,");
    text + "\n"
}

fn set(of: &str, what: &str, value: &str, machines: &Machines) -> String {
    let is_set = of.strip_prefix(BACKEND).and_then(|rest| {
        let name = rest.strip_prefix('/')?;
        match (what, value) {
            ("state", "ready") => Some(machines.set_state(name, Administrative::Ready)),
            ("state", "drain") => Some(machines.set_state(name, Administrative::Drain)),
            ("state", "maint") => Some(machines.set_state(name, Administrative::Maintenance)),
            ("weight", weight) => Some(machines.set_weight(name, weight.parse().ok()?)),
            _ => None,
        }
    });
    match is_set {
        Some(true) => "\n".into(),
        _ => "No such server.\n".into(),
    }
}
