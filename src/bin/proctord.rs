//! The `proctord` binary.

fn main() -> std::process::ExitCode {
    proctor::daemon::main()
}
