//! The program; all of it is in the library.

/// Half of what a warm request costs beside its arithmetic is memory that it asks for and gives back.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    realmgate::cli::main()
}
