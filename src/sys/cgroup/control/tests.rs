//! Tests of what is written, and of controllers on the real tree where this machine has some.

use super::*;
use crate::sys::testing::cgroups;

fn written(limits: &Resources) -> Vec<(&'static str, String)> {
    let all = settings(limits).into_iter();
    all.map(|setting| (setting.file, setting.text)).collect()
}

#[test]
fn each_limit_goes_into_the_file_of_its_controller() {
    let limits = Resources {
        memory_max: Some(Amount::Of(1 << 30)),
        memory_high: Some(Amount::Of(1 << 29)),
        swap_max: Some(Amount::Of(0)),
        cpu_weight: Some(50),
        cpu_max: Some(Amount::Of(150)),
        io_weight: Some(200),
        pids_max: Some(Amount::Of(64)),
        ..Resources::default()
    };
    let expected = [
        ("memory.max", "1073741824"),
        ("memory.high", "536870912"),
        ("memory.swap.max", "0"),
        ("cpu.weight", "50"),
        ("cpu.max", "150000 100000"),
        ("io.weight", "default 200"),
        ("pids.max", "64"),
    ];
    assert_eq!(
        written(&limits),
        expected.map(|(file, text)| (file, text.to_owned()))
    );
    let needs: Vec<_> = Cgroup::needs(&limits).map(|(_, controller)| controller).collect();
    assert_eq!(needs[3], Controller::Cpu);
    assert_eq!(needs[6], Controller::Pids);
}

#[test]
fn what_a_new_cgroup_has_anyway_needs_no_controller() {
    let limits = Resources {
        memory_max: Some(Amount::Max),
        cpu_max: Some(Amount::Max),
        pids_max: Some(Amount::Max),
        cpu_weight: Some(100),
        io_weight: Some(100),
        nice: Some(5),
        umask: Some(0o077),
        ..Resources::default()
    };
    assert_eq!(written(&limits), []);
    // The least there is, is still the least that the kernel takes (1 ms).
    let least = Resources {
        cpu_max: Some(Amount::Of(1)),
        ..Resources::default()
    };
    assert_eq!(written(&least), [("cpu.max", "1000 100000".to_owned())]);
}

#[test]
fn shares_of_disks_have_two_scales() {
    for (weight, bfq) in [(1, 1), (100, 100), (101, 100), (5_050, 550), (10_000, 1_000)] {
        assert_eq!(bfq_weight(weight), bfq, "{weight}");
    }
}

#[test]
fn tells_controllers_of_version_1_from_those_that_are_just_off() {
    let text =
        "#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpu\t1\t1\t1\nblkio\t7\t1\t1\npids\t0\t18\t1\n";
    assert!(in_v1(text, "cpu") && in_v1(text, "io"));
    assert!(!in_v1(text, "pids") && !in_v1(text, "memory") && !in_v1(text, "cpuset"));
}

#[test]
fn turns_on_what_there_is_and_says_of_the_rest_why_not() {
    let Some(root) = cgroups() else { return };
    let name = format!("proctor-test-control-{}", std::process::id());
    let sub = root.subtree(&name).unwrap();
    let above = root.enable(None);
    let below = sub.enable(Some(&above));
    for controller in Controller::ALL {
        assert_eq!(
            below.lacks(controller).is_some(),
            above.lacks(controller).is_some(),
            "{controller}: {above:?} {below:?}"
        );
        if let Some(why) = above.lacks(controller) {
            assert_eq!(below.lacks(controller), Some(why), "the reason is above");
            assert!(why.contains("cgroup"), "{why}");
        }
    }
    // A controller of no use to attempts shows that it really is turned on, also where version 1 has the others.
    let other = "hugetlb";
    if root.listed("cgroup.controllers", other).unwrap() {
        let was_on = root.listed("cgroup.subtree_control", other).unwrap();
        let [(_, refused)] = &root.turn_on(&[other])[..] else {
            panic!("one answer for one name");
        };
        if refused.is_none() {
            let [(_, refused)] = &sub.turn_on(&[other])[..] else {
                panic!("one answer for one name");
            };
            assert_eq!(*refused, None);
            let cgroup = sub.create("one").unwrap();
            assert!(
                cgroup.dir.open_for_reading("hugetlb.2MB.max").is_ok(),
                "it is there"
            );
            cgroup.remove().unwrap();
            sub.write("cgroup.subtree_control", "-hugetlb").unwrap();
            if !was_on {
                root.write("cgroup.subtree_control", "-hugetlb").unwrap();
            }
        }
    }
    let unknown = root.turn_on(&["nonsense"]);
    assert!(
        unknown[0]
            .1
            .as_deref()
            .unwrap()
            .contains("no controller nonsense")
    );
    root.open(&name).unwrap().unwrap().remove().unwrap();
}

#[test]
fn a_cgroup_with_processes_gives_none_not_even_those_that_the_kernel_would_turn_on() {
    let Some(root) = cgroups() else { return };
    let name = format!("proctor-test-busy-{}", std::process::id());
    let sub = root.subtree(&name).unwrap();
    let cgroup = root.open(&name).unwrap().unwrap();
    let mut shell = crate::sys::testing::Shell::run_with("read x", |spawn| spawn.cgroup = Some(&cgroup));
    assert!(sub.has_processes().unwrap());
    assert!(!sub.create("below").unwrap().is_populated().unwrap());
    let wanted = Controller::ALL.map(Controller::as_str);
    for (name, refused) in sub.turn_on(&wanted) {
        let why = refused.unwrap_or_else(|| panic!("{name} was turned on"));
        assert!(
            why.contains("has processes of its own") || why.contains("controller"),
            "{why}"
        );
    }
    // So what is below can still be used.
    let below = sub.open("below").unwrap().unwrap();
    let other = crate::sys::testing::Shell::run_with("true", |spawn| spawn.cgroup = Some(&below));
    other.child.pidfd.wait().unwrap();
    shell.close_input();
    shell.child.pidfd.wait().unwrap();
    cgroup.remove().unwrap();
}

#[test]
fn a_limit_without_its_controller_is_an_error_that_names_both() {
    let Some(root) = cgroups() else { return };
    // Nothing is turned on in a cgroup that was just made.
    let name = format!("proctor-test-limit-{}", std::process::id());
    let sub = root.subtree(&name).unwrap();
    let cgroup = sub.create("one").unwrap();
    let limits = Resources {
        pids_max: Some(Amount::Of(10)),
        io_weight: Some(10),
        ..Resources::default()
    };
    let error = cgroup.limit(&limits, |_| true).unwrap_err();
    assert_eq!((error.key, error.controller), ("io_weight", Controller::Io));
    let error = cgroup.limit(&limits, |key| key != "io_weight").unwrap_err();
    assert_eq!((error.key, error.controller), ("pids_max", Controller::Pids));
    cgroup.limit(&limits, |_| false).unwrap();
    cgroup.remove().unwrap();
    root.open(&name).unwrap().unwrap().remove().unwrap();
}
