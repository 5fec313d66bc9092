//! Programs of one idea each, in `src/bin`; those that need the core alone are in the repository's
//! `examples`. `tests/examples.rs` runs them all and looks at what they print and send.

pub mod database;

/// The code of the READMEs, made by `build.rs`.
#[cfg(doctest)]
#[doc = include_str!(concat!(env!("OUT_DIR"), "/documents.md"))]
pub struct Documents;

/// Resolves when the process is asked to end, by SIGTERM or Ctrl-C.
///
/// Where no signal can be waited for, it says so and resolves at once.
#[allow(clippy::print_stderr, reason = "of a program to look at")]
pub async fn shutdown_signal() {
    #[cfg(unix)]
    let ended = async {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminated = signal(SignalKind::terminate())?; // from an orchestrator, or `kill`
        tokio::select! {
            _ = terminated.recv() => Ok(()),
            pressed = tokio::signal::ctrl_c() => pressed,
        }
    };
    #[cfg(not(unix))]
    let ended = tokio::signal::ctrl_c();
    let ended: std::io::Result<()> = ended.await;
    if let Err(error) = ended {
        eprintln!("no signals: {error}");
    }
}
