//! Makes the Rust code of the READMEs doc tests, which are compiled but not run: most need an agent.

#![allow(clippy::disallowed_methods, clippy::print_stdout, reason = "of a build script")]

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs, io};

/// The documents, from the root of the repository. Those of the crates for `tracing` and OpenTelemetry are the
/// documentation of these crates, and so their doc tests; that of the HTTP crate has parts of programs.
const DOCUMENTS: [&str; 5] = [
    "README.md",
    "integrations/embedded-agent/README.md",
    "integrations/metrics/README.md",
    "integrations/prometheus/README.md",
    "integrations/reqwest/README.md",
];

/// The start of a block, and the rest of that line.
const FENCE: &str = "\n```rust";

/// What is around a block of statements, which may use `?` and `await`.
const BEGIN: &str = "# async fn block() -> Result<(), Box<dyn std::error::Error>> {\n";
const END: &str = "\n# Ok(()) }\n# let _ = block();\n";

fn main() -> io::Result<()> {
    let mut tests = String::new();
    for document in DOCUMENTS {
        let path = Path::new("../..").join(document);
        println!("cargo::rerun-if-changed={}", path.display());
        let text = fs::read_to_string(path)?;
        for block in text.split(FENCE).skip(1) {
            let (attributes, rest) = block.split_once('\n').unwrap_or((block, ""));
            let code = rest.split("\n```").next().unwrap_or_default();
            let (begin, end) = if code.contains("fn main()") { ("", "\n") } else { (BEGIN, END) };
            let attributes = if attributes.is_empty() { ",no_run" } else { attributes };
            let _ =
                writeln!(tests, "Of {document}:\n\n```rust{attributes}\n{begin}{code}{end}```\n");
        }
    }
    fs::write(Path::new(&env::var("OUT_DIR").unwrap_or_default()).join("documents.md"), tests)
}
