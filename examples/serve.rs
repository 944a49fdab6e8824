//! A worker in Rust. Run it on a job list:
//!
//!     cargo build --example serve
//!     seq 3 | sed 's/.*/{"method":"add_one","params":[&]}/' |
//!         supervisor spawn --worker target/debug/examples/serve --json

use serde::{Deserialize, Serialize};
use supervisor::worker::serve::{Failure, Server};

/// A parameter with a name, and one with a name that may be missing.
#[derive(Serialize, Deserialize)]
struct Text {
    text: String,
    #[serde(default)]
    times: u32,
}

fn main() -> std::io::Result<()> {
    Server::new("example")
        .function("add_one", |(x,): (i64,)| Ok::<_, Failure>(x + 1))
        .function("echo", |text: Text| Ok::<_, Failure>(text))
        .function("parse", |(text,): (String,)| text.parse::<i64>())
        .function("divide", |(a, b): (i64, i64)| Ok::<_, Failure>(a / b))
        .function("nap", |(seconds,): (f64,)| nap(seconds))
        .function("exit", |(code,): (i32,)| -> Result<(), Failure> { exit(code) })
        .function("abort", |()| -> Result<(), Failure> { std::process::abort() })
        .function("kill", |()| -> Result<(), Failure> { kill() })
        .function_with("say", |context, (text,): (String,)| {
            context.print(&text);
            Ok::<_, Failure>(())
        })
        // Without the lock, two workers could read the same number and one increment would be lost.
        .function_with("count", |context, (name,): (String,)| {
            let _guard = context.lock(&name)?;
            let value = context.value(&name, 0);
            let next = value.get::<i64>()? + 1;
            value.set(next)?;
            Ok::<_, Failure>(next)
        })
        .run()
}

/// A call that takes its time, and no processor.
#[expect(clippy::disallowed_methods, reason = "sleeping is what it is asked for")]
fn nap(seconds: f64) -> Result<(), Failure> {
    std::thread::sleep(std::time::Duration::try_from_secs_f64(seconds).map_err(Failure::from)?);
    Ok(())
}

/// Nobody can catch this; what was finished before stays finished all the same.
fn kill() -> Result<(), Failure> {
    nix::sys::signal::raise(nix::sys::signal::Signal::SIGKILL).map_err(Failure::from)
}

/// A function may end the process; what was finished before stays finished.
#[expect(clippy::disallowed_methods, reason = "shows what becomes of the answers before it")]
fn exit(code: i32) -> ! {
    std::process::exit(code)
}
