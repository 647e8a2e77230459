//! Commands for operators: which is meant, and what is wrong with one.

use super::{EVERYTHING, parse, problem};
use crate::model::{DagName, NoticeEvent};

#[test]
fn hooks_are_for_their_event_and_their_dags() {
    let hooks = parse(EVERYTHING).unwrap().hooks;
    let wanted = |event, dag: &str| {
        let hook = hooks.wanted(event, &DagName::new(dag).unwrap());
        hook.map(|hook| hook.command[0].as_str())
    };
    assert_eq!(wanted(NoticeEvent::Failed, "backup"), Some("/bin/notify"));
    assert_eq!(wanted(NoticeEvent::Lost, "backup"), Some("/bin/page"));
    assert_eq!(wanted(NoticeEvent::Lost, "report"), None);
    assert_eq!(wanted(NoticeEvent::Succeeded, "report"), Some("/bin/true"));
    let all = parse("hooks.failed.command = ['/bin/x']").unwrap().hooks;
    let any = DagName::new("any").unwrap();
    assert!(all.wanted(NoticeEvent::Failed, &any).is_some());
    assert!(all.wanted(NoticeEvent::Lost, &any).is_none());
}

#[test]
fn mistakes_in_hooks_are_told_with_place_and_cure() {
    for (text, parts) in [
        (
            "[hooks.failed]\ncommand = ['notify']",
            [
                "2:11: `hooks.failed.command` starts with \"notify\"",
                "absolute path",
            ],
        ),
        (
            "[hooks.lost]\ncommand = '/bin/true'",
            [
                "2:11: `hooks.lost.command` is a string",
                "[\"/usr/local/bin/notify\"",
            ],
        ),
        (
            "[hooks.lost]\ncommand = ['/bin/x', 1]",
            ["an element that is a whole number", "write a string"],
        ),
        (
            "[hooks.failed]\ncommand = ['/bin/']",
            ["names the directory \"/bin/\"", "absolute path"],
        ),
        (
            "[hooks.failed]\ndags = ['a b']",
            ["`hooks.failed.dags` names \"a b\"", "write names of DAGs"],
        ),
        (
            "[hooks.failed]\nuser = '-x'",
            ["`hooks.failed.user` is \"-x\"", "a user's name"],
        ),
        (
            "[hooks.failed]\ntimeout_sec = 0",
            ["`hooks.failed.timeout_sec` is 0", "from 1 to 3600"],
        ),
        (
            "[hooks]\nmax_parallel = 65",
            ["`hooks.max_parallel` is 65", "from 1 to 64"],
        ),
        (
            "[hooks.failed]\ntimeout = 1",
            [
                "unknown key `timeout` in [hooks.failed]",
                "did you mean `timeout_sec`?",
            ],
        ),
        ("[hooks.faild]", ["unknown key `faild` in [hooks]", ""]),
        (
            "[hooks]\nfailed = 1",
            ["`hooks.failed` is a whole number", "[hooks.failed]"],
        ),
    ] {
        let found = problem(text);
        for part in parts {
            assert!(found.contains(part), "{part:?} is not in {found:?}");
        }
    }
}
