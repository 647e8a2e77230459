//! The bytes of messages as they are. A difference here is a new protocol version, never a cosmetic change.

use super::*;
use crate::model::access::Peer;
use crate::model::view::{ChildView, RunView, StepView};
use crate::model::{AttemptId, DagName, Exit, GroupName, Handler, LostCause, RunId, RunRef, RunStatus};
use crate::model::{
    Cause, Node, OomScope, OomVictim, Priority, RunCause, SchemaFile, SchemaRef, StepStatus, StopReason,
};
use crate::model::{Time, Trigger, Usage};
use crate::wire::control::{
    Action, AttemptSummary, ChildUpdate, DoctorReport, ErrorKind, Finding, HistoryFilter, Problem, Selector,
    Submit, Update, Why,
};
use crate::wire::shim::StatusVerb;

mod manage;

fn run_ref() -> RunRef {
    RunRef {
        dag: DagName::new("d").unwrap(),
        id: RunId::new("r").unwrap(),
    }
}

fn selector() -> Selector {
    Selector {
        dag: DagName::new("d").unwrap(),
        run: Some(RunId::new("r").unwrap()),
    }
}

fn a_view() -> RunView {
    let mut step = StepView::new("s");
    step.status = StepStatus::Failed;
    step.error = Some("e".to_owned());
    step.exit_code = Some(-1);
    step.exit = Some(Exit::Signal {
        signal: 9,
        core: false,
    });
    step.retry_count = 2;
    step.done_count = 3;
    step.stdout = Some("/o".to_owned());
    step.variables = vec![("V".to_owned(), "1".to_owned())];
    step.started_at = Some(Time(1));
    step.cause = Some(Cause::OutOfMemory {
        killed: 1,
        total: 2,
        scope: OomScope::Attempt { limit: Some(3) },
        victim: OomVictim::Below {},
    });
    RunView {
        run: run_ref(),
        attempt: Some(AttemptId::new("a").unwrap()),
        number: 1,
        status: RunStatus::Failed,
        error: Some("e".to_owned()),
        lost: Some(LostCause::SupervisorSignal(9)),
        stop: Some(StopReason::User { uid: 1000 }),
        timed_out: false,
        kill_escalated: true,
        stalled: false,
        params: vec![("1".to_owned(), "p".to_owned())],
        outputs: Vec::new(),
        group: GroupName::new("g").unwrap(),
        owner: 1000,
        trigger: Trigger::Manual,
        parent: None,
        created_at: Time(-1),
        started_at: None,
        finished_at: Some(Time(300)),
        pid: None,
        log_dir: "/l".to_owned(),
        steps: vec![step],
        handlers: vec![(Handler::Exit, StepView::new("x"))],
        priority: Priority::default(),
        scheduled_for: None,
        retry: None,
        held: false,
        now: false,
        usage: Usage {
            cpu_user_usec: Some(1),
            mem_peak: Some(300),
            ..Usage::UNKNOWN
        },
    }
}

pub(super) fn a_run() -> Response {
    Response::Run(Box::new(a_view()))
}

fn problem() -> Problem {
    Problem {
        message: "m".to_owned(),
        file: None,
        line: Some(1),
        column: Some(2),
        hint: None,
    }
}

fn hex<T: Serialize>(message: &T) -> String {
    let frame = encode(message, MAX).unwrap();
    assert_eq!(
        frame[..HEADER],
        u32::try_from(frame.len() - HEADER).unwrap().to_le_bytes()
    );
    frame[HEADER..].iter().map(|b| format!("{b:02x}")).collect()
}

fn an_attempt() -> AttemptSummary {
    AttemptSummary {
        number: 1,
        attempt: AttemptId::new("a").unwrap(),
        status: RunStatus::Succeeded,
        error: None,
        lost: None,
        started_at: None,
        finished_at: None,
        usage: Usage::UNKNOWN,
        cause: Some(RunCause {
            step: Some("s".to_owned()),
            cause: Cause::Exit { code: 3 },
        }),
    }
}

/// The messages whose bytes are others, with those bytes.
fn unlike<T: Serialize>(all: &[(T, &str)]) -> Vec<(usize, String)> {
    let bytes = all.iter().map(|(message, wanted)| (hex(message), *wanted));
    let numbered = bytes.enumerate();
    let wrong = numbered.filter(|(_, (bytes, wanted))| bytes != wanted);
    wrong.map(|(index, (bytes, _))| (index, bytes)).collect()
}

#[test]
fn requests() {
    let submit = Submit {
        source: "s".to_owned(),
        name: None,
        file: "f".to_owned(),
        stem: "t".to_owned(),
        base: Some("b".to_owned()),
        schemas: vec![SchemaFile {
            wanted: SchemaRef {
                path: "p".to_owned(),
                working_dir: None,
            },
            text: Some("{}".to_owned()),
            error: None,
        }],
        base_dir: "/".to_owned(),
        default_working_dir: None,
        run_id: Some("r".to_owned()),
        params: None,
        args: vec!["a".to_owned()],
        trigger: Trigger::Manual,
        queue: None,
        priority: None,
        now: false,
    };
    let filter = HistoryFilter {
        dag: None,
        statuses: vec![RunStatus::Failed, RunStatus::Rejected],
        from: Some(Time(1)),
        to: None,
        limit: 100,
        lost: true,
    };
    let stop = Request::Stop {
        run: selector(),
        interrupted: true,
    };
    let approve = Request::Approve {
        run: selector(),
        step: Some("s".to_owned()),
        inputs: vec![("V".to_owned(), "v".to_owned())],
    };
    let reject = Request::Reject {
        run: selector(),
        step: None,
        reason: Some("w".to_owned()),
    };
    let all = [
        (Request::Ping, "00"),
        (
            Request::Submit(Box::new(submit)),
            "01017300016601740101620101700001027b7d00012f000101720001016100000000",
        ),
        (Request::Follow(selector()), "020164010172"),
        (Request::Status(selector()), "030164010172"),
        (Request::Ps, "04"),
        (stop, "05016401017201"),
        (Request::Retry(selector()), "060164010172"),
        (Request::Rerun(selector()), "070164010172"),
        (Request::History(filter), "08000202080102006401"),
        (Request::Attempts(selector()), "090164010172"),
        (Request::Why(selector()), "0a0164010172"),
        (Request::Doctor { repair: false }, "0b00"),
        (Request::Reload, "0c"),
        (approve, "0d01640101720101730101560176"),
        (reject, "0e016401017200010177"),
    ];
    for (index, (request, bytes)) in all.iter().enumerate() {
        assert_eq!(hex(request), *bytes, "request {index}");
    }
}

#[test]
fn responses() {
    let update = Update {
        summary: a_view().summary(),
        stop: Some(StopReason::Signal(15)),
        nodes: vec![
            (Node::Step(1), StepView::new("s")),
            (Node::Handler(Handler::Init), StepView::new("i")),
        ],
        children: vec![ChildUpdate {
            node: Node::Step(1),
            count: 3,
            changed: vec![(
                2,
                ChildView {
                    run: run_ref(),
                    params: "p".to_owned(),
                    status: RunStatus::Failed,
                },
            )],
        }],
        params: None,
        outputs: vec![("k".to_owned(), "v".to_owned())],
        lost: Some(LostCause::Reboot),
        log_dir: None,
        timed_out: true,
        kill_escalated: false,
    };
    let why = Why {
        run: run_ref(),
        status: RunStatus::Queued,
        answer: "a".to_owned(),
        evidence: vec!["e".to_owned()],
    };
    let report = DoctorReport {
        findings: vec![Finding {
            check: "c".to_owned(),
            ok: true,
            detail: "d".to_owned(),
            repaired: false,
        }],
        features: vec![("f".to_owned(), "g".to_owned())],
        counters: vec![("n".to_owned(), 5)],
        actions: vec![Action {
            what: "w".to_owned(),
            at: Time(1),
            about: "a".to_owned(),
        }],
    };
    let pong = Response::Pong {
        version: "1".to_owned(),
        pid: 7,
        embedded: true,
    };
    let accepted = Response::Accepted {
        run: run_ref(),
        warnings: vec![problem()],
    };
    let error = Response::Error {
        kind: ErrorKind::Protocol,
        message: "m".to_owned(),
        hint: Some("h".to_owned()),
        problems: vec![problem()],
    };
    let all = [
        (pong, "0001310701"),
        (accepted, "010164017201016d000101010200"),
        (
            Response::Runs(vec![a_view().summary()]),
            "0201016401720101610102010165000167fbe8030000010001fb5802000101000000000001010001fb2c01000000000000010008",
        ),
        (
            a_run(),
            "030164017201016101020101650100120100fbe8030001000101310170000167fbe8030000010001fb580200022f6c0101730201016501010101120002030001022f6f0001015601310001020000000000010201020001030101040178000000000000000000000000000000000000000000000001010001fb2c01000000000000",
        ),
        (
            Response::Update(Box::new(update)),
            "04016401720101610102010165000167fbe8030000010001fb5802000101000000000001010001fb2c0100000000000001000801031e020001017300000000000000000000000000000000000001000169000000000000000000000000000000000000010001030102016401720170020001016b01760104000100",
        ),
        (Response::Done, "05"),
        (
            Response::Attempts(vec![an_attempt()]),
            "06010101610400000000000000000000000000010101730006",
        ),
        (Response::Why(why), "0701640172050161010165"),
        (
            Response::Doctor(report),
            "0801016301016400010166016701016e05010177020161",
        ),
        (Response::Reloaded(vec!["r".to_owned()]), "09010172"),
        (error, "0a07016d01016801016d000101010200"),
    ];
    let wrong = unlike(&all);
    assert!(wrong.is_empty(), "responses are {wrong:#?}");
}

#[test]
fn shim_messages() {
    assert_eq!(hex(&ToShim::Spec(vec![1, 2])), "00020102");
    assert_eq!(hex(&ToShim::Go), "01");
    assert_eq!(hex(&ToShim::Stop(StopReason::Client { uid: 0 })), "020100");
    assert_eq!(hex(&ToShim::ReplaceEntry), "03");
    assert_eq!(hex(&ToShim::EnsureStop(StopReason::Client { uid: 0 })), "060100");
    assert_eq!(hex(&ToShim::NoRetry), "07");
    assert_eq!(hex(&FromShim::KillCall(5)), "0805");
    let peer = Peer {
        pid: 1,
        uid: 2,
        gid: 3,
    };
    assert_eq!(hex(&FromShim::Denied(peer, StatusVerb::Attach)), "0a01020303");
    assert_eq!(hex(&FromShim::OutputLost(6)), "0906");
    assert_eq!(hex(&FromShim::Ready), "00");
    assert_eq!(hex(&FromShim::Failed("f".to_owned())), "010166");
    assert_eq!(hex(&FromShim::Poke), "02");
    assert_eq!(hex(&FromShim::EntryReplaced), "03");
    assert_eq!(hex(&StatusRequest::Status), "00");
    assert_eq!(hex(&StatusRequest::Stop { interrupted: true }), "0101");
    assert_eq!(hex(&StatusRequest::Signal(10)), "0214");
    assert_eq!(hex(&StatusRequest::Attach), "03");
    assert_eq!(hex(&StatusResponse::Ok), "01");
    let error = StatusResponse::Error {
        kind: ErrorKind::Denied,
        message: "m".to_owned(),
    };
    assert_eq!(hex(&error), "0204016d");
}

/// Enums inside messages, each value by its number on the wire.
#[test]
fn words() {
    let kinds = [
        ErrorKind::Invalid,
        ErrorKind::NotFound,
        ErrorKind::Exists,
        ErrorKind::WrongState,
        ErrorKind::Denied,
        ErrorKind::Unavailable,
        ErrorKind::Internal,
        ErrorKind::Protocol,
    ];
    let numbered = |texts: Vec<String>| {
        for (index, text) in texts.iter().enumerate() {
            assert_eq!(*text, format!("{index:02x}"));
        }
        texts.len()
    };
    assert_eq!(numbered(kinds.iter().map(hex).collect()), 8);
    assert_eq!(numbered(RunStatus::ALL.iter().map(hex).collect()), 9);
    assert_eq!(numbered(StepStatus::ALL.iter().map(hex).collect()), 10);
    assert_eq!(numbered(Trigger::ALL.iter().map(hex).collect()), 5);
    assert_eq!(numbered(Handler::ALL.iter().map(hex).collect()), 6);
    assert_eq!(hex(&RunStatus::Succeeded), "04");
    assert_eq!(hex(&StepStatus::Skipped), "05");
    assert_eq!(hex(&Trigger::Catchup), "02");
    assert_eq!(hex(&Exit::Code(1)), "0002");
    assert_eq!(hex(&LostCause::SupervisorExit(1)), "0102");
    assert_eq!(hex(&LostCause::SupervisorGone), "02");
    assert_eq!(hex(&LostCause::OutOfMemory), "03");
    assert_eq!(hex(&LostCause::JournalDamaged("x".to_owned())), "050178");
    assert_eq!(hex(&StopReason::Shutdown), "02");
}
