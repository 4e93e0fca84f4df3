//! The sweep as a program: `cargo xtask sweep` runs it.
#![expect(
    clippy::print_stdout,
    reason = "this program talks to whoever started it"
)]

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use clap::Parser;
use liftlock_sweep::broken;
use liftlock_sweep::camunda;
use liftlock_sweep::camunda::engines::Engines;
use liftlock_sweep::guest::Guest;
use liftlock_sweep::guest::Guests;
use liftlock_sweep::kuzzle::beside::Pair;
use liftlock_sweep::kuzzle::collections::Collections;
use liftlock_sweep::kuzzle::ways::Way;
use liftlock_sweep::rolling::Rolling;
use liftlock_sweep::sweep;
use liftlock_sweep::sweep::Choice;
use liftlock_sweep::sweep::Clusters;
use liftlock_sweep::sweep::Subject;
use liftlock_sweep::sweep::Tally;
use liftlock_sweep::ways;

/// A product whose upgrades are swept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Product {
    /// Indices of a simulated cluster.
    Optimize,
    /// Simulated engines over a real database.
    Camunda,
    /// Simulated clusters: one whose nodes are simulated services, and one beside another.
    Kuzzle,
}

impl Product {
    fn name(self) -> &'static str {
        match self {
            Self::Optimize => "optimize",
            Self::Camunda => "camunda",
            Self::Kuzzle => "kuzzle",
        }
    }
}

/// Disturbs upgrades of a simulated site at every point, and judges what becomes of them.
#[derive(Debug, Parser)]
struct Options {
    /// Whose upgrades.
    #[arg(long, value_enum, default_value_t = Product::Optimize)]
    product: Product,
    /// The plugin's component.
    #[arg(long)]
    plugin: PathBuf,
    /// The same with a hop for tests, which the plan `side-by-side` needs.
    #[arg(long)]
    plugin_for_tests: Option<PathBuf>,
    /// Where compiled plugins are kept.
    #[arg(long)]
    cache: PathBuf,
    /// Only this plan.
    #[arg(long)]
    plan: Option<String>,
    /// From this position.
    #[arg(long, default_value_t = 0)]
    from: usize,
    /// Up to this one.
    #[arg(long)]
    to: Option<usize>,
    /// Every so-manieth position.
    #[arg(long, default_value_t = 1)]
    sample: usize,
    /// Beginning with this one.
    #[arg(long, default_value_t = 0)]
    offset: usize,
    /// Only this family of positions.
    #[arg(long)]
    family: Option<String>,
    /// Begin no position after so many seconds.
    #[arg(long)]
    within: Option<u64>,
    /// Tell each position with all that happened.
    #[arg(long)]
    verbose: bool,
    /// Break the gate's rules one by one; each must make the sweep fail.
    #[arg(long)]
    broken: bool,
    /// Only this rule, as it is named when it is told.
    #[arg(long, requires = "broken")]
    rule: Option<String>,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let result = if options.broken {
        rules(&options)
    } else {
        whole(&options)
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            println!("error: {error:#}");
            println!("sweep {}: FAIL", options.product.name());
            ExitCode::FAILURE
        }
    }
}

fn say(text: &str) {
    println!("{}", text.trim_end());
}

fn guests(options: &Options) -> anyhow::Result<Guests> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let load = |plugin: &PathBuf| runtime.block_on(Guest::load(plugin, &options.cache));
    Ok(Guests {
        released: load(&options.plugin)?,
        for_tests: options.plugin_for_tests.as_ref().map(load).transpose()?,
    })
}

/// The plans of these that are asked for.
fn chosen<W>(
    options: &Options,
    all: Vec<W>,
    name: fn(&W) -> &'static str,
) -> anyhow::Result<Vec<W>> {
    let names: Vec<&str> = all.iter().map(name).collect();
    let wanted = options.plan.as_deref();
    if wanted.is_some_and(|wanted| !names.contains(&wanted)) {
        bail!("there is no such plan; there are: {}", names.join(", "));
    }
    Ok(all
        .into_iter()
        .filter(|way| wanted.is_none_or(|wanted| wanted == name(way)))
        .collect())
}

/// Every plan of Optimize, or one.
fn clusters(options: &Options, choice: &Choice) -> anyhow::Result<Tally> {
    let guests = guests(options)?;
    let mut total = Tally::default();
    for way in chosen(options, ways::all(), |way| way.name)? {
        let guest = guests.of(&way)?;
        let of = Subject {
            product: options.product.name(),
            plan: way.name,
        };
        let build = || Clusters::build(guest, &way);
        total.add(sweep::sweep(of, &build, choice, &say)?);
    }
    Ok(total)
}

/// Every plan of Camunda 7, or one, each on a database server of its own.
fn engines(options: &Options, choice: &Choice) -> anyhow::Result<Tally> {
    let guest = guests(options)?.released;
    let mut total = Tally::default();
    for way in chosen(options, camunda::ways::all(), |way| way.name)? {
        let of = Subject {
            product: options.product.name(),
            plan: way.name,
        };
        let server = camunda::store::Server::start(way.database)?;
        let build = || Rolling::of(Engines::build(&guest, &way, &server)?);
        total.add(sweep::sweep(of, &build, choice, &say)?);
    }
    Ok(total)
}

/// Every plan of Kuzzle, or one.
fn collections(options: &Options, choice: &Choice) -> anyhow::Result<Tally> {
    let guest = guests(options)?.released;
    let mut total = Tally::default();
    for way in chosen(options, Way::ALL.to_vec(), Way::name)? {
        let of = Subject {
            product: options.product.name(),
            plan: way.name(),
        };
        total.add(match way {
            Way::Rolling => {
                let build = || Rolling::of(Collections::build(&guest)?);
                sweep::sweep(of, &build, choice, &say)?
            }
            Way::Snapshot => {
                let build = || Rolling::of(Pair::build(&guest)?);
                sweep::sweep(of, &build, choice, &say)?
            }
        });
    }
    Ok(total)
}

fn whole(options: &Options) -> anyhow::Result<bool> {
    let choice = Choice {
        from: options.from,
        to: options.to,
        every: options.sample,
        offset: options.offset,
        family: options.family.clone(),
        within: options.within.map(Duration::from_secs),
        verbose: options.verbose,
    };
    let total = match options.product {
        Product::Optimize => clusters(options, &choice)?,
        Product::Camunda => engines(options, &choice)?,
        Product::Kuzzle => collections(options, &choice)?,
    };
    for (family, (count, took)) in &total.families {
        println!("   {count:5} x {family}, {:.1} s", took.as_secs_f64());
    }
    if total.left_out > 0 {
        println!(
            "   {} positions were left out: the time was over",
            total.left_out
        );
    }
    if !total.why.is_empty() {
        println!("   a person had to decide:");
        print!("{}", total.doubts_text());
    }
    println!(
        "sweep {}: positions={} lost={} repeated={} guessed={} doubts={}",
        options.product.name(),
        total.positions,
        total.lost,
        total.repeated,
        total.guessed,
        total.doubts
    );
    if total.positions == 0 {
        bail!("no position was performed");
    }
    Ok(total.is_good())
}

fn rules(options: &Options) -> anyhow::Result<bool> {
    let (defects, caught) = broken::broken(&guests(options)?, options.rule.as_deref(), &say)?;
    let is_good = defects > 0 && caught == defects;
    println!(
        "sweep optimize --broken: {} defects={defects} caught={caught}",
        if is_good { "PASS" } else { "FAIL" }
    );
    Ok(is_good)
}
