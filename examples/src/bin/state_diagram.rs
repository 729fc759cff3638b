//! Prints TCP's state diagram, generated from the functions that carrick's connections run on.
//!
//! ```sh
//! cargo run -p carrick-examples --bin state_diagram                # Mermaid, as in docs/state-machine.md
//! cargo run -p carrick-examples --bin state_diagram -- --dot       # Graphviz: | dot -Tsvg
//! ```

use carrick_examples::diagram;
use clap::Parser;

#[derive(Debug, Parser)]
#[command(about = "Prints TCP's state diagram, generated from carrick's code")]
struct Args {
    /// For Mermaid (the default).
    #[arg(long, conflicts_with = "dot")]
    mermaid: bool,
    /// For Graphviz.
    #[arg(long)]
    dot: bool,
}

fn main() {
    let Args { mermaid: _, dot } = Args::parse();
    print!("{}", if dot { diagram::dot() } else { diagram::mermaid() });
}
