//! From the start of the process to ready, with a database that exists.

use crate::{
    Args, Outcome,
    report::{Report, Row, Target, median},
    server::{Server, scratch_folder},
};

/// Starts often enough for a median.
const STARTS: usize = 5;

/// Starts once to make the database, then measures the starts after it.
pub(crate) fn measure(args: &Args, report: &mut Report) -> Outcome<()> {
    eprintln!("start");
    let folder = scratch_folder()?;
    let mut first = Server::start(&args.binary, folder.path(), &[])?;
    first.child.stop()?;
    let mut millis = Vec::new();
    for _ in 0..STARTS {
        let mut server = Server::start(&args.binary, folder.path(), &[])?;
        millis.push(server.start_up.as_secs_f64() * 1_000.0);
        server.child.stop()?;
    }
    let note = format!("median of {STARTS}; the first start, with an empty folder, took {:.0} ms", first.start_up.as_secs_f64() * 1_000.0);
    report.add(Row::alone("start to ready", "ms", median(millis.into_iter()), Target::AtMost(100.0), note));
    Ok(())
}
