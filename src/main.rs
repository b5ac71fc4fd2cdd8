//! Arguments in, exit code out; everything else is the library's.

/// An answer is made of hundreds of short-lived texts and lists; see `docs/performance.md` for what this one saves.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    rubor::cli::main()
}
