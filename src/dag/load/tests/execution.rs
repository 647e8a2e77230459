//! Tests of what a DAG says of the processes of its attempts.

use super::*;
use crate::model::{Amount, Resources, Rlimit, RlimitPair};

fn limits(map: &str) -> String {
    format!("limits: {map}\nsteps: [x]\n")
}

fn read(map: &str) -> Resources {
    dag(&limits(map)).execution.limits
}

fn of(amount: u64) -> Option<Amount> {
    Some(Amount::Of(amount))
}

#[test]
fn every_limit_is_read() {
    let text = "{memory_max: 512M, memory_high: 268435456, swap_max: 0, cpu_weight: 50, cpu_max: 150%, io_weight: 200, \
                pids_max: 64, nice: -5, umask: 027, rlimits: {nofile: 4096, core: unlimited, stack: {soft: 8M, hard: \
                64M}, cpu: {hard: 60}, as: 1G, locks: ~}}";
    let pair = |soft, hard| RlimitPair { soft, hard };
    let expected = Resources {
        memory_max: of(512 << 20),
        memory_high: of(256 << 20),
        swap_max: of(0),
        cpu_weight: Some(50),
        cpu_max: of(150),
        io_weight: Some(200),
        pids_max: of(64),
        nice: Some(-5),
        umask: Some(0o027),
        rlimits: [
            (Rlimit::OpenFiles, pair(of(4096), of(4096))),
            (Rlimit::Core, pair(Some(Amount::Max), Some(Amount::Max))),
            (Rlimit::Stack, pair(of(8 << 20), of(64 << 20))),
            (Rlimit::Cpu, pair(None, of(60))),
            (Rlimit::AddressSpace, pair(of(1 << 30), of(1 << 30))),
        ]
        .into(),
    };
    assert_eq!(read(text), expected);
    assert_eq!(warnings(&limits(text)), [""; 0]);
    let shown = crate::dag::project(&dag(&limits(text)), None, "", true);
    assert_eq!(shown["limits"]["memory_max"], 512 << 20);
    assert_eq!(shown["limits"]["umask"], "027");
    assert_eq!(shown["limits"]["rlimits"]["core"]["soft"], "max");
    // What is recorded with a run says the same.
    let recorded = serde_json::to_string(&dag(&limits(text))).unwrap();
    assert_eq!(Execution::of_json(&recorded).unwrap().limits, expected);
}

#[test]
fn no_limit_is_a_value_too() {
    let found = read("{memory_max: max, cpu_max: max, pids_max: max, swap_max: max}");
    let max = Some(Amount::Max);
    assert_eq!(
        (found.memory_max, found.cpu_max, found.pids_max, found.swap_max),
        (max, max, max, max)
    );
    assert_eq!(read("{}"), Resources::default());
    assert_eq!(read("{memory_max: , rlimits: ~}"), Resources::default());
    assert_eq!(dag("steps: [x]").execution, Execution::default());
}

#[test]
fn a_mask_is_octal_however_it_is_written() {
    for text in ["027", "'027'", "0o027", "27", "'27'"] {
        assert_eq!(read(&format!("{{umask: {text}}}")).umask, Some(0o027), "{text}");
    }
}

#[test]
fn what_is_wrong_is_said_at_its_value() {
    for (map, place, words) in [
        ("{memory_max: 512MB}", "512MB", "a number of bytes such as `512M`"),
        ("{memory_max: -1}", "-1", "a number of bytes"),
        ("{memory_max: [1]}", "[1]", "a number of bytes"),
        ("{memory_max: 1M}", "1M", "at least 4M, of which the supervisor"),
        ("{memory_high: 4095K}", "4095K", "at least 4M"),
        ("{swap_max: lots}", "lots", "a number of bytes"),
        ("{cpu_weight: 0}", "0}", "must be from 1 to 10000"),
        ("{cpu_weight: 10001}", "10001", "must be from 1 to 10000"),
        ("{io_weight: max}", "max}", "must be a whole number"),
        ("{cpu_max: 150}", "150", "percent of one CPU such as `50%`"),
        ("{cpu_max: 0%}", "0%", "percent of one CPU"),
        ("{cpu_max: 1.5%}", "1.5%", "percent of one CPU"),
        ("{cpu_max: 100001%}", "100001%", "percent of one CPU"),
        ("{pids_max: 1}", "1}", "at least 2: the supervisor"),
        ("{pids_max: 4194305}", "4194305}", "at most 4194304"),
        ("{pids_max: '5'}", "'5'", "must be a whole number"),
        ("{nice: 20}", "20", "must be from -20 to 19"),
        ("{umask: 8}", "8", "octal digits"),
        ("{umask: 01000}", "01000", "octal digits"),
        ("{umask: rwx}", "rwx", "octal digits"),
        (
            "{rlimits: {nofile: 1K}}",
            "1K",
            "a whole number from 0, `unlimited`",
        ),
        ("{rlimits: {cpu: 1h}}", "1h", "a number of seconds"),
        (
            "{rlimits: {stack: 1MB}}",
            "1MB",
            "a number of bytes such as `64K`",
        ),
        ("{rlimits: {nofile: -1}}", "-1", "a whole number from 0"),
        (
            "{rlimits: {nofile: {soft: 2, hard: 1}}}",
            "{soft",
            "the soft limit is above",
        ),
        (
            "{rlimits: {nofile: {soft: max, hard: 1}}}",
            "{soft",
            "the soft limit is above",
        ),
        ("{rlimits: [1]}", "[1]", "must be a map"),
        ("[1]", "[1]", "must be a map"),
    ] {
        error_at(&limits(map), place, words);
    }
}

#[test]
fn unknown_limits_suggest_what_was_meant() {
    for (map, wanted) in [
        ("{memory: 1G}", "did you mean `memory_max`?"),
        ("{memory_maxx: 1G}", "did you mean `memory_max`?"),
        ("{nofile: 5}", "did you mean `rlimits: {nofile: ...}`?"),
        ("{rlimits: {nofiles: 5}}", "did you mean `nofile`?"),
        ("{rlimits: {nofile: {sof: 5}}}", "did you mean `soft`?"),
    ] {
        assert_eq!(hint(&limits(map)), wanted);
    }
    assert_eq!(hint("user: ann\nsteps: [x]"), "did you mean `run_as`?");
    assert_eq!(
        hint("ulimits: {}\nsteps: [x]"),
        "did you mean `limits: {rlimits: ...}`?"
    );
}

#[test]
fn what_has_no_effect_is_warned_of() {
    let told = warnings(&limits("{memory_max: 5M, memory_high: 6M, rlimits: {locks: 5}}"));
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].contains("`memory_max` is lower"), "{told:?}");
    assert!(told[1].contains("Linux does not limit file locks"), "{told:?}");
}

fn with_base(text: &str, base: &str) -> Result<Loaded, Vec<Diagnostic>> {
    let base = BaseConfig {
        text: base.as_bytes(),
        file: "base.yaml",
    };
    let options = LoadOptions {
        base: Some(base),
        ..LoadOptions::default()
    };
    load(&source(text), &options)
}

#[test]
fn limits_of_a_base_hold_key_by_key() {
    let base = "limits: {memory_max: 1G, nice: 5, rlimits: {nofile: 64, core: 0}}\nno_new_privs: false\n";
    let text = limits("{memory_max: 2G, rlimits: {nofile: 128}}");
    let found = with_base(&text, base).unwrap().dag.execution;
    assert_eq!(
        (found.limits.memory_max, found.limits.nice),
        (of(2 << 30), Some(5))
    );
    let rlimits = &found.limits.rlimits;
    assert_eq!(rlimits[&Rlimit::OpenFiles].soft, of(128));
    assert_eq!(rlimits[&Rlimit::Core].soft, of(0));
    assert_eq!(found.no_new_privs, Some(false));
    let found = with_base("steps: [x]", base).unwrap().dag.execution;
    assert_eq!(found.limits.rlimits.len(), 2);
    let errors = with_base("steps: [x]", "limits: {nice: 99}\n").unwrap_err();
    assert_eq!(errors[0].file.as_deref(), Some("base.yaml"), "{errors:?}");
}

#[test]
fn a_user_is_named_by_the_first_document_alone() {
    assert_eq!(
        dag("run_as: ' ann '\nsteps: [x]").execution.run_as.as_deref(),
        Some("ann")
    );
    error("run_as: ''\nsteps: [x]", 1, 9, "does not name a user");
    error("run_as: 0\nsteps: [x]", 1, 9, "must be a text");
    error(
        "steps: [x]\n---\nname: b\nrun_as: ann\nsteps: [x]\n",
        4,
        1,
        "not for further documents",
    );
    let errors = with_base("steps: [x]", "run_as: ann\n").unwrap_err();
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(
        errors[0].message.contains("not for the base configuration"),
        "{errors:?}"
    );
    // Each document has limits of its own: what is called is an attempt of its own.
    let file = dag("limits: {nice: 1}\nsteps: [x]\n---\nname: b\nlimits: {nice: 2}\nsteps: [x]\n");
    let nices = [&file, &file.local_dags[0]].map(|dag| dag.execution.limits.nice);
    assert_eq!(nices, [Some(1), Some(2)]);
}

#[test]
fn whether_privileges_can_be_gained_is_a_truth_value() {
    assert_eq!(
        dag("no_new_privs: false\nsteps: [x]").execution.no_new_privs,
        Some(false)
    );
    error("no_new_privs: 'no'\nsteps: [x]", 1, 15, "must be a bool");
    // That a text is the system's is nothing that it can say itself.
    let said = errors("of_system: true\nsteps: [x]");
    assert!(said[0].message.contains("unknown key"), "{said:?}");
    let said = errors("execution: {of_system: true}\nsteps: [x]");
    assert!(said[0].message.contains("unknown key"), "{said:?}");
}
