//! Output for people and scripts that may be full or closed.
//!
//! What a command prints comes second to what it does: after the first failure of standard output nothing more is printed,
//! the command goes on, and [`finish`] reports the failure with an exit code.

use std::fmt::Arguments;
use std::io::{ErrorKind, Write, stderr, stdout};
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};

static FAILURE: Mutex<Option<std::io::Error>> = Mutex::new(None);

/// Prints to standard output, where that still works.
pub fn print(text: Arguments) {
    let mut failure = FAILURE.lock().unwrap_or_else(PoisonError::into_inner);
    if failure.is_none() {
        *failure = stdout().write_fmt(text).and_then(|()| stdout().flush()).err();
    }
}

/// Prints a line to standard error, where that still works.
pub fn error(text: Arguments) {
    let _ = writeln!(stderr(), "{text}");
}

/// Prints a line to standard output: `println!` without its panic.
macro_rules! outln {
    () => { $crate::console::print(format_args!("\n")) };
    ($($text:tt)*) => { $crate::console::print(format_args!("{}\n", format_args!($($text)*))) };
}
pub(crate) use outln;

/// Prints a line to standard error: `eprintln!` without its panic.
macro_rules! errln {
    ($($text:tt)*) => { $crate::console::error(format_args!($($text)*)) };
}
pub(crate) use errln;

/// The program's exit code: 1 with a sentence where the command or standard output failed.
pub fn finish(result: anyhow::Result<()>) -> ExitCode {
    let failure = FAILURE.lock().unwrap_or_else(PoisonError::into_inner).take();
    match (result, failure) {
        (Ok(()), None) => return ExitCode::SUCCESS,
        (Err(failed), _) => errln!("error: {failed:#}"),
        (Ok(()), Some(failure)) => {
            let cure = match failure.kind() {
                ErrorKind::BrokenPipe => "keep its reader open",
                _ => "redirect it to where there is room",
            };
            errln!(
                "error: standard output: must be writable, got `{failure}`; {cure}. Only printed lines are lost"
            );
        }
    }
    ExitCode::FAILURE
}
