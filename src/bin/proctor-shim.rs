//! The `proctor-shim` binary.
fn main() -> std::process::ExitCode {
    proctor::shim::main()
}
