//! The `proctorctl` binary.
fn main() -> std::process::ExitCode {
    proctor::ctl::main(std::env::args_os())
}
