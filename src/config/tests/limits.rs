//! Tests of `[job.limits]`.

use super::{parse, problem};
use crate::model::{Amount, Resources, Rlimit};

#[test]
fn what_is_wrong_with_a_limit_is_said_at_its_value() {
    for (text, wanted) in [
        (
            "job.limits.memory_max = '3M'",
            "1:25: `job.limits.memory_max` is \"3M\"; write bytes, as in \"512M\" or \"2G\", from 4M, or \"max\" for no limit",
        ),
        (
            "job.limits.cpu_max = 150",
            "1:22: `job.limits.cpu_max` is 150; write percent of one CPU, as in \"150%\", at most \"100000%\", or \"max\" for no limit",
        ),
        (
            "job.limits.pids_max = 1",
            "1:23: `job.limits.pids_max` is 1; write a whole number from 2 to 4194304, or \"max\" for no limit",
        ),
        (
            "job.limits.nice = -21",
            "1:19: `job.limits.nice` is -21; write a whole number from -20 to 19",
        ),
        (
            "job.limits.cpu_weight = 0",
            "1:25: `job.limits.cpu_weight` is 0; write a whole number from 1 to 10000",
        ),
        (
            "job.limits.rlimits.nofiles = 1",
            "1:20: `job.limits.rlimits.nofiles` is no limit; there are: as, core, cpu, data, fsize, locks, memlock, \
             msgqueue, nofile, nproc, sigpending, stack",
        ),
        (
            "job.limits.rlimits.nofile = '1K'",
            "1:29: `job.limits.rlimits.nofile` is \"1K\"; write a whole number, \"unlimited\", or { soft = ..., hard = ... }",
        ),
        (
            "job.limits.rlimits.stack = { soft = 2, hard = 1 }",
            "1:28: `job.limits.rlimits.stack` has a soft limit above the hard one; raise the hard one, or lower the soft one",
        ),
        (
            "job.limits.umask = '022'",
            "1:12: unknown key `umask` in [job.limits]; `umask` belongs in [job]",
        ),
    ] {
        assert_eq!(problem(text), wanted);
    }
}

#[test]
fn a_limit_that_has_its_default_says_nothing() {
    let text = "[job.limits]\nmemory_max = 'max'\ncpu_max = 'max'\npids_max = 'max'\ncpu_weight = 100\nio_weight = 100\nnice = 0";
    assert_eq!(parse(text).unwrap().job.limits, Resources::default());
}

#[test]
fn limits_of_processes_have_one_value_or_two() {
    let limits = parse("job.limits.rlimits = { nofile = 5, stack = { soft = '1M' } }")
        .unwrap()
        .job
        .limits;
    let nofile = limits.rlimits[&Rlimit::OpenFiles];
    assert_eq!(
        (nofile.soft, nofile.hard),
        (Some(Amount::Of(5)), Some(Amount::Of(5)))
    );
    let stack = limits.rlimits[&Rlimit::Stack];
    assert_eq!((stack.soft, stack.hard), (Some(Amount::Of(1 << 20)), None));
}
