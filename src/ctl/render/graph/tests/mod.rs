//! What is drawn, to the letter.

mod properties;

use anstream::adapter::strip_str;
use unicode_width::UnicodeWidthStr;

use super::dot::dot;
use super::mermaid::mermaid;
use super::text::{Look, STEPS_DRAWN_MAX, lines};
use super::*;
use crate::dag::types::{
    Approval, Call, Condition, Item, Items, Parallel, RepeatMode, RepeatPolicy, RetryPolicy, Route, Router,
};
use crate::model::testing::CpuTime;
use crate::model::{DagName, Handler};

fn command(name: &str, depends: &[u32]) -> Step {
    let mut step = Step::new(name, Action::Commands(vec![Command::new(format!("run {name}"))]));
    step.depends = depends.to_vec();
    step
}

pub(crate) fn dag(name: &str, steps: Vec<Step>) -> Dag {
    let mut dag = Dag::new(DagName::new(name).unwrap());
    dag.steps = steps;
    dag
}

/// A DAG with all there is.
pub(crate) fn release() -> Dag {
    let mut fetch = command("fetch", &[]);
    fetch.retry = Some(RetryPolicy {
        limit: Number::Known(3.0),
        interval_sec: Number::Known(5.0),
        exit_code: Vec::new(),
        backoff: 0.0,
        max_interval_sec: 0.0,
    });
    let route = |pattern: &str, target: &str| Route {
        pattern: pattern.to_owned(),
        targets: vec![target.to_owned()],
    };
    let mut pick = Step::new(
        "pick",
        Action::Route(Router {
            value: "${fetch.stdout}".to_owned(),
            routes: vec![route("new", "build"), route("re:^E", "report")],
        }),
    );
    pick.depends = vec![0];
    let mut build = Step::new(
        "build",
        Action::Call(Box::new(Call {
            target: "child".to_owned(),
            params: Vec::new(),
            parallel: Some(Parallel {
                items: Items::List(vec![Item::Value("arm".to_owned()), Item::Value("x86".to_owned())]),
                max_concurrent: 2,
            }),
        })),
    );
    build.depends = vec![1];
    build.approval = Some(Approval::default());
    let mut report = Step::new(
        "report",
        Action::Script {
            text: "#!/bin/sh\n# tell\nmail ops\n".to_owned(),
            command: None,
        },
    );
    report.depends = vec![1];
    report.preconditions = vec![Condition {
        condition: "true".to_owned(),
        expected: None,
        negate: false,
    }];
    let mut end = Step::new("end", Action::Nothing);
    end.depends = vec![2, 3];
    end.repeat = Some(RepeatPolicy {
        mode: RepeatMode::While,
        interval_sec: Number::Known(1.0),
        limit: Number::Known(2.0),
        condition: None,
        exit_code: Vec::new(),
        backoff: 0.0,
        max_interval_sec: 0.0,
    });
    let mut dag = dag("release", vec![fetch, pick, build, report, end]);
    dag.handlers = vec![(Handler::Failure, command("onFailure", &[]))];
    dag.local_dags = vec![self::dag(
        "child",
        vec![command("make", &[]), command("pack", &[0])],
    )];
    dag
}

fn drawn(dag: &Dag, look: Look) -> Vec<String> {
    let lines = lines(&Chart::new(dag), look);
    lines.iter().map(|line| strip_str(line).to_string()).collect()
}

const ALL: Look = Look {
    width: None,
    ascii: false,
};
const ASCII: Look = Look {
    width: None,
    ascii: true,
};

#[test]
fn everything_there_is_on_a_terminal() {
    assert_eq!(
        drawn(&release(), ALL),
        [
            "release  5 steps in 4 layers",
            "1     ● fetch  $ run fetch  [retry 3]",
            "      │",
            "2     ◇ pick  route by ${fetch.stdout}",
            "  ╭───╯",
            "3 ├──▶◆ build  call child  [for 2 items, 2 at a time, approval]  if pick is new",
            "  │ ╭─╯",
            "3 ╰─│▶■ report  script: mail ops  [1 condition]  if pick is re:^E",
            "    ├─╯",
            "4   ╰▶○ end  nothing to do  [repeat]",
            "on failure: onFailure  $ run onFailure",
            "",
            "child  2 steps in 2 layers",
            "1 ● make  $ run make",
            "  │",
            "2 ● pack  $ run pack",
        ]
    );
}

#[test]
fn ascii_and_narrow() {
    let mut dag = dag(
        "d",
        vec![
            command("a", &[]),
            command("b\u{e4}", &[0]),
            command("c", &[0]),
            command("d", &[1, 2]),
            command("e", &[0]),
        ],
    );
    dag.steps[1].action = Action::Nothing;
    let lines = drawn(&dag, ASCII);
    assert_eq!(
        lines,
        [
            "d  5 steps in 3 layers",
            "1     * a  $ run a",
            "  .---'",
            "2 +-->o b\\u{e4}  nothing to do",
            "  | .-'",
            "2 +-|>* c  $ run c",
            "  | +-'",
            "3 | `>* d  $ run d",
            "2 `-->* e  $ run e",
        ]
    );
    assert!(lines.iter().all(|line| line.is_ascii()));
    for width in 20..60 {
        let look = Look {
            width: Some(width),
            ascii: false,
        };
        for line in drawn(&release(), look) {
            assert!(line.width() <= usize::from(width), "{width}: {line}");
        }
    }
}

#[test]
fn a_wide_fan_out_and_fan_in_have_two_lanes() {
    let mut steps = vec![command("split", &[])];
    steps.extend((1..=100).map(|at| command(&format!("part {at}"), &[0])));
    steps.push(command("join", &(1..=100).collect::<Vec<_>>()));
    let lines = drawn(&dag("wide", steps), ALL);
    assert_eq!(lines.len(), 1 + 2 * 101 + 1);
    assert_eq!(lines[5], "2 ├─│▶● part 2  $ run part 2");
    assert_eq!(lines.last().unwrap(), "3   ╰▶● join  $ run join");
}

#[test]
fn too_many_lanes_become_a_list_and_too_many_steps_a_summary() {
    let tangle: Vec<Step> = (0..50)
        .map(|at| command(&format!("a{at}"), &[]))
        .chain((0..50).map(|at| command(&format!("b{at}"), &[at, (at + 17) % 50])))
        .collect();
    let lines = drawn(&dag("tangle", tangle), ALL);
    assert_eq!(lines[1], "layer 1");
    assert_eq!(lines[2], "  ● a0  $ run a0");
    assert_eq!(lines[52], "layer 2");
    assert_eq!(lines[53], "  ● b0  $ run b0  after a0, a17");

    let mut steps: Vec<Step> = (0..STEPS_DRAWN_MAX)
        .map(|at| command(&format!("p{at}"), &[]))
        .collect();
    steps.push(command("end", &[0, 1]));
    steps.push(command("really", &[200]));
    assert_eq!(
        drawn(&dag("many", steps), ALL),
        [
            "many  202 steps in 3 layers",
            "layer 1  200 commands: p0, p1, p2, p3, p4, p5, p6, p7 and 192 more",
            "layers 2 to 3  1 step each: end to really",
            "202 steps are too many to draw one by one; --dot and --mermaid have them all",
        ]
    );
}

#[test]
fn graphviz_to_the_letter() {
    let expected = r#"digraph "release" {
  rankdir=TB;
  compound=true;
  node [shape=box, style=rounded];
  s0 [label="fetch\n$ run fetch\nretry 3"];
  s1 [label="pick\nroute by ${fetch.stdout}", shape=diamond];
  s2 [label="build\ncall child\nfor 2 items, 2 at a time, approval", shape=box3d];
  s3 [label="report\nscript: mail ops\n1 condition", shape=note];
  s4 [label="end\nnothing to do\nrepeat", shape=ellipse];
  s0 -> s1;
  s1 -> s2 [label="new"];
  s1 -> s3 [label="re:^E"];
  s2 -> s4;
  s3 -> s4;
  subgraph cluster_handlers {
    label="handlers";
    style=dashed;
    h0 [label="on failure: onFailure\n$ run onFailure"];
  }
  subgraph cluster_0 {
    label="child";
    l0_s0 [label="make\n$ run make"];
    l0_s1 [label="pack\n$ run pack"];
    l0_s0 -> l0_s1;
  }
  s2 -> l0_s0 [style=dotted, lhead=cluster_0];
}
"#;
    assert_eq!(dot(&Chart::new(&release())), expected);
}

#[test]
fn mermaid_to_the_letter() {
    let expected = r#"flowchart TD
  s0["fetch<br/>#36; run fetch<br/>retry 3"]
  s1{"pick<br/>route by #36;#123;fetch#46;stdout#125;"}
  s2[["build<br/>call child<br/>for 2 items, 2 at a time, approval"]]
  s3[/"report<br/>script: mail ops<br/>1 condition"/]
  s4(["end<br/>nothing to do<br/>repeat"])
  s0 --> s1
  s1 -->|"new"| s2
  s1 -->|"re:#94;E"| s3
  s2 --> s4
  s3 --> s4
  subgraph handlers ["handlers"]
    h0["on failure: onFailure<br/>#36; run onFailure"]
  end
  subgraph l0 ["child"]
    l0_s0["make<br/>#36; run make"]
    l0_s1["pack<br/>#36; run pack"]
    l0_s0 --> l0_s1
  end
  s2 -.-> l0
"#;
    assert_eq!(mermaid(&Chart::new(&release())), expected);
}

#[test]
fn hostile_names_are_escaped() {
    let name = "a\"] b\n\\N{}<b>|;`#\u{202e}👩";
    let mut dag = release();
    dag.steps[0].name = name.to_owned();
    let chart = Chart::new(&dag);
    let line = |text: &str| {
        let mut lines = text.lines().filter(|line| line.trim_start().starts_with("s0"));
        lines.next().unwrap().to_owned()
    };
    assert_eq!(
        line(&dot(&chart)),
        r#"  s0 [label="a\"] b\\n\\N{}<b>|;`#\\u{202e}👩\n$ run fetch\nretry 3"];"#
    );
    assert_eq!(
        line(&mermaid(&chart)),
        "  s0[\"a#34;#93; b#92;n#92;N#123;#125;#60;b#62;#124;#59;#96;#35;#92;u#123;202e#125;👩<br/>#36; run fetch<br/>retry 3\"]"
    );
    let drawn = drawn(&dag, ALL).join("\n");
    assert!(drawn.contains("a\"] b\\n\\N{}<b>|;`#\\u{202e}👩"), "{drawn}");
}

#[test]
fn ten_thousand_steps_are_drawn_at_once() {
    let steps: Vec<Step> = (0..10_000u32)
        .map(|at| {
            command(
                &format!("step {at}"),
                &(at.saturating_sub(3)..at).collect::<Vec<_>>(),
            )
        })
        .collect();
    let dag = dag("large", steps);
    let start = CpuTime::start();
    let chart = Chart::new(&dag);
    let texts = [dot(&chart), mermaid(&chart)];
    let lines = lines(&chart, ALL);
    assert!(start.spent().as_secs() < 5, "{:?}", start.spent());
    assert!(texts.iter().all(|text| text.lines().count() > 39_000));
    assert_eq!(lines.len(), 3);
}
