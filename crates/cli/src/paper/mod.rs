//! `mobilenet paper`: trains the networks of the paper's tables at a small scale, and writes one report.
//!
//! `family` lists the networks, `run` trains each once with the parts of `train`, `kept` keeps the results, `claims` judges,
//! `report` and `figures` write. `networks` counts the networks of Tables 8 and 9 from their layers.

mod args;
mod claims;
mod family;
mod figures;
mod kept;
mod networks;
mod output;
mod report;
mod run;

pub use args::Arguments;
pub use run::run;
