//! T19: the user whom a job is for watches the supervisors that become that user, from the first moment on, and gets nothing
//! of them: neither memory, environment, descriptors, nor a trace.

use super::{Land, user};
use crate::helper::{read, skip, text_of, until};

/// Looks at every process of its own user that is no job: reads what needs the right to trace, and tries to trace it. Says
/// what it got, and how many supervisors it saw.
const PEEPS: &str = r#"
use strict;
my ($go, $seen, $begun) = @ARGV;
open my $b, ">", $begun; close $b;
my ($looked, %got);
my %old = map { $_ => 1 } glob "/proc/[0-9]*";
sub is_supervisor {
    open my $file, "<", "$_[0]/cmdline" or return 0;
    my $name = <$file> // "";
    return $name =~ /^proctor-shim/;
}
# Those that come later are looked at: it costs less to find them.
until (-e $go) {
    for my $dir (glob "/proc/[0-9]*") {
        my ($pid) = $dir =~ /(\d+)/;
        next if $old{$dir} || !is_supervisor($dir);
        $looked++;
        my @now;
        for my $file ("mem", "environ", "maps", "auxv", "pagemap") {
            push @now, $file if open my $f, "<", "$dir/$file";
        }
        push @now, "fd" if opendir my $fds, "$dir/fd";
        push @now, "cwd" if defined readlink "$dir/cwd";
        push @now, "exe" if defined readlink "$dir/exe";
        # Since it became the job no supervisor comes of it again: it was one all the time.
        if (@now && is_supervisor($dir)) { $got{$_}++ for @now }
        if (syscall(101, 0x4206, $pid + 0, 0, 0) == 0) {
            $got{ptrace}++ if is_supervisor($dir);
            # Only what stands still can be let go, and the job itself may be traced: it is not to hang.
            syscall(101, 0x4207, $pid + 0, 0, 0);
            waitpid $pid, 0x40000000;
            syscall(101, 17, $pid + 0, 0, 0);
        }
    }
}
open my $out, ">", $seen or die;
print $out "looked ", $looked // 0, "\n", map { "got $_ $got{$_}\n" } sort keys %got;
print $out "end\n";
"#;

#[test]
fn t19_the_jobs_user_can_neither_trace_nor_read_the_supervisor_at_any_moment() {
    let perl = std::process::Command::new("perl").arg("-e1").status();
    if !cfg!(target_arch = "x86_64") || !perl.is_ok_and(|status| status.success()) {
        skip("the one who peeps is written for x86_64, in Perl");
        return;
    }
    let Some(land) = Land::found("[queue]\nmax_active_runs = 0\n", "", |_| {}) else {
        return;
    };
    let one = user("one");
    let src = land.daemon.path("src");
    std::fs::set_permissions(&src, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    std::fs::write(src.join("peep.pl"), PEEPS).unwrap();
    let [go, seen, begun] = ["go", "seen", "begun"].map(|name| src.join(name));
    let command = format!(
        "perl {} {} {} {}",
        src.join("peep.pl").display(),
        go.display(),
        seen.display(),
        begun.display()
    );
    let peeping = land.submit(
        &one,
        "peeps",
        &format!("steps: [{{name: a, command: {command}}}]"),
    );
    until("it peeps", || begun.exists().then_some(()));
    let runs: Vec<String> = (0..16)
        .map(|n| {
            land.submit(
                &one,
                &format!("r{n}"),
                "steps: [{name: a, command: \"true\"}, {name: b, command: \"true\"}]",
            )
        })
        .collect();
    for run in &runs {
        land.daemon.wait_success(run);
    }
    std::fs::write(&go, "").unwrap();
    let result = land.daemon.wait_success(&peeping);
    let told = read(&seen);
    let looked: u64 = told
        .lines()
        .find_map(|line| line.strip_prefix("looked "))
        .and_then(|count| count.parse().ok())
        .unwrap_or_else(|| panic!("{told}\n{}", text_of(&result["steps"][0]["stderr"])));
    assert!(looked > 8, "it saw too few: {told}");
    assert_eq!(told, format!("looked {looked}\nend\n"), "nothing was got");
    land.daemon.expect_clean();
}
