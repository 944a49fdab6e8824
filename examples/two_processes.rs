//! The tutorial's program: two processes that sleep three seconds side by side, so that both are done after three, not six.
//!
//! ```python
//! def tugas(nama):
//!     print(f"{nama} mulai")
//!     time.sleep(3)
//!     print(f"{nama} selesai")
//!
//! p1 = Process(target=tugas, args=("Tugas 1",))
//! ```
//!
//! A Python process runs a function; ours runs a program. So that the function can stand in the same file, this program
//! starts itself with an argument that says which task to do.

#![expect(
    clippy::disallowed_macros,
    clippy::disallowed_methods,
    reason = "a program of its own, not part of the crate"
)]

use std::time::{Duration, Instant};
use supervisor::Process;

fn tugas(nama: &str) {
    println!("{nama} mulai");
    std::thread::sleep(Duration::from_secs(3));
    println!("{nama} selesai");
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    if let Some(nama) = std::env::args().nth(1) {
        tugas(&nama);
        return Ok(());
    }

    let begin = Instant::now();
    let this_program = std::env::current_exe()?;
    let mut p1 = Process::new(&this_program).arg("Tugas 1");
    let mut p2 = Process::new(&this_program).arg("Tugas 2");

    p1.start()?;
    p2.start()?;

    p1.join(None)?;
    p2.join(None)?;

    println!("exit codes {:?} and {:?} after {:.1} s", p1.exitcode(), p2.exitcode(), begin.elapsed().as_secs_f64());
    Ok(())
}
