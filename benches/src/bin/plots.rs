//! Draws what `tun_goodput --csv FILE` has measured:
//!
//! ```text
//! cargo run -p carrick-benches --bin plots -- FILE
//! ```

use carrick_benches::plots::{self, Quantity};
use clap::Parser;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

/// Draws what `tun_goodput --csv` has measured.
#[derive(Parser)]
struct Arguments {
    /// What was measured.
    csv: PathBuf,
    /// Where the pictures go: `tun-cpu-1.svg` and so on, by quantity and number of connections.
    #[arg(long, default_value = "docs/plots")]
    out: PathBuf,
    /// A few words for the titles, such as where and when.
    #[arg(long, default_value = "")]
    caption: String,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(Arguments { csv, out, caption }: &Arguments) -> Result<(), String> {
    let text = fs::read_to_string(csv).map_err(|error| format!("{}: {error}", csv.display()))?;
    let samples = plots::read(&text).map_err(|error| format!("{}: {error}", csv.display()))?;
    fs::create_dir_all(out).map_err(|error| format!("{}: {error}", out.display()))?;
    for connections in plots::connections(&samples) {
        for quantity in Quantity::ALL {
            let path = out.join(format!("tun-{}-{connections}.svg", quantity.name()));
            let svg = plots::draw(&samples, quantity, connections, caption)?;
            fs::write(&path, svg).map_err(|error| format!("{}: {error}", path.display()))?;
            println!("{}", path.display());
        }
    }
    Ok(())
}
