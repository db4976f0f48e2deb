//! The program `pageviews`: see `pageviews --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    pageviews::cli::main()
}
