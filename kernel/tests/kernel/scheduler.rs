//! Who runs when, and what happens to those that end.

use crate::support::{FakeObjects, FakeProcessor, MEMORY, configuration, kernel, kernel_of, run};
use slopos_abi::Syscall;
use slopos_abi::{ARGUMENTS_MAX, STATUS_KILLED};
use slopos_host_log::Token;
use slopos_kernel::kernel::{Kernel, StartError};
use slopos_kernel::process::{Configuration, Restart, State};
use slopos_kernel::process::{ProcessId, ProcessSet};
use slopos_kernel::processor::{ArgumentsTooLong, Call, Fault, Trap};
use slopos_kernel::scheduler::{Step, TIME_SLICE};
use slopos_kernel::time::{Duration, Instant};
use std::cell::Cell;

fn call(call: Syscall, arguments: [u64; 6]) -> Trap {
    Trap::SystemCall(Call { number: call.number(), arguments })
}

fn at(millis: u64) -> impl Fn() -> Instant {
    move || Instant::from_millis(millis)
}

/// A clock that moves on by so much each time that it is read.
fn ticking(tick: Duration) -> impl Fn() -> Instant {
    let time = Cell::new(Instant::BOOT);
    move || {
        time.set(time.get() + tick);
        time.get()
    }
}

#[test]
fn equals_take_turns_of_a_slice_however_often_they_are_interrupted() {
    let (mut kernel, mut cpu, mut objects) = (kernel(3), FakeProcessor::new(3), FakeObjects::default());
    cpu.start_all(&mut kernel);
    let now = ticking(TIME_SLICE.divided_by(2));
    assert_eq!(kernel.slice(), Some(TIME_SLICE));
    assert_eq!(run(&mut kernel, &mut cpu, &mut objects, &now), Step::Running);
    assert_eq!(kernel.slice(), Some(TIME_SLICE.divided_by(2)), "what is left of the turn");
    assert_eq!(run(&mut kernel, &mut cpu, &mut objects, &now), Step::Yielded);
    for _ in 2..12 {
        run(&mut kernel, &mut cpu, &mut objects, &now);
    }
    assert_eq!(cpu.runs, [0, 0, 1, 1, 2, 2, 0, 0, 1, 1, 2, 2]);
}

#[test]
fn who_is_alone_runs_without_a_slice() {
    let (mut kernel, mut cpu, mut objects) = (kernel(1), FakeProcessor::new(1), FakeObjects::default());
    cpu.start_all(&mut kernel);
    assert_eq!(kernel.slice(), None);
    assert_eq!(run(&mut kernel, &mut cpu, &mut objects, ticking(TIME_SLICE)), Step::Running);
    assert_eq!(cpu.runs, [0]);
}

#[test]
fn who_is_woken_goes_before_its_equals_and_the_turn_stays_where_it_was() {
    let (mut kernel, mut cpu, mut objects) = (kernel(3), FakeProcessor::new(3), FakeObjects::default());
    cpu.start_all(&mut kernel);
    // It asks for input, has none, and waits; the others compute.
    cpu.traps[0].push_back(call(Syscall::Read, [0, MEMORY, 1, 0, 0, 0]));
    cpu.traps[0].push_back(call(Syscall::Read, [0, MEMORY, 1, 0, 0, 0]));
    let now = ticking(Duration::from_micros(10));
    for _ in 0..3 {
        run(&mut kernel, &mut cpu, &mut objects, &now);
    }
    assert_eq!(cpu.runs, [0, 1, 1]);
    objects.input = vec![7];
    assert!(!kernel.next_is_woken());
    kernel.wake(ProcessSet::ALL);
    assert!(kernel.next_is_woken());
    for _ in 0..4 {
        run(&mut kernel, &mut cpu, &mut objects, &now);
    }
    // The call is made again and succeeds, its next waits; then goes on who was interrupted.
    assert_eq!(cpu.results, [(0, 1)]);
    assert_eq!(cpu.runs, [0, 1, 1, 0, 1, 1]);
}

#[test]
fn being_woken_again_and_again_gives_no_more_than_a_slice() {
    let (mut kernel, mut cpu, mut objects) = (kernel(2), FakeProcessor::new(2), FakeObjects::default());
    cpu.start_all(&mut kernel);
    let now = ticking(TIME_SLICE.divided_by(8));
    for _ in 0..40 {
        cpu.traps[0].push_back(Trap::Interrupt);
        cpu.traps[0].push_back(call(Syscall::Read, [0, MEMORY, 1, 0, 0, 0]));
    }
    for _ in 0..120 {
        run(&mut kernel, &mut cpu, &mut objects, &now);
        objects.input = vec![7];
        kernel.wake(ProcessSet::ALL);
    }
    let runs_of = |process| cpu.runs.iter().filter(|&&index| index == process).count();
    let (first, other) = (runs_of(0), runs_of(1));
    assert!(other >= cpu.runs.len() / 3, "the other ran {other} times of {}", cpu.runs.len());
    assert!(first >= cpu.runs.len() / 5, "the first ran {first} times of {}", cpu.runs.len());
}

/// Two processes of which the first waits for input and is woken by some, while the other computes.
fn woken_beside_an_equal() -> (Kernel, FakeProcessor, FakeObjects) {
    let (mut kernel, mut cpu, mut objects) = (kernel(2), FakeProcessor::new(2), FakeObjects::default());
    cpu.start_all(&mut kernel);
    cpu.traps[0].push_back(call(Syscall::Read, [0, MEMORY, 1, 0, 0, 0]));
    for _ in 0..2 {
        run(&mut kernel, &mut cpu, &mut objects, at(0));
    }
    objects.input = vec![7];
    kernel.wake(ProcessSet::ALL);
    run(&mut kernel, &mut cpu, &mut objects, at(0));
    assert_eq!((cpu.runs.as_slice(), cpu.results.as_slice()), ([0, 1].as_slice(), [(0, 1)].as_slice()));
    cpu.runs.clear();
    (kernel, cpu, objects)
}

#[test]
fn who_was_woken_and_then_computes_goes_before_its_equals_for_one_slice() {
    let (mut kernel, mut cpu, mut objects) = woken_beside_an_equal();
    let now = ticking(TIME_SLICE.divided_by(2));
    assert!(kernel.next_is_woken());
    for _ in 0..6 {
        run(&mut kernel, &mut cpu, &mut objects, &now);
    }
    assert_eq!(cpu.runs, [0, 0, 1, 1, 0, 0]);
    assert!(!kernel.next_is_woken());
}

#[test]
fn who_was_woken_and_yields_goes_before_nobody() {
    let (mut kernel, mut cpu, mut objects) = woken_beside_an_equal();
    cpu.traps[0].push_back(call(Syscall::Yield, [0; 6]));
    cpu.traps[1].push_back(call(Syscall::Yield, [0; 6]));
    for step in [Step::Yielded, Step::Yielded, Step::Running] {
        assert_eq!(run(&mut kernel, &mut cpu, &mut objects, at(0)), step);
    }
    assert_eq!((cpu.runs.as_slice(), &cpu.results[1..]), ([0, 1, 0].as_slice(), [(0, 0), (1, 0)].as_slice()));
}

#[test]
fn a_sleeper_wakes_at_its_deadline_and_not_before() {
    let (mut kernel, mut cpu, mut objects) = (kernel(1), FakeProcessor::new(1), FakeObjects::default());
    cpu.start_all(&mut kernel);
    cpu.traps[0].push_back(call(Syscall::Sleep, [10, 0, 0, 0, 0, 0]));
    run(&mut kernel, &mut cpu, &mut objects, at(5));
    assert_eq!(kernel.next_deadline(), Some(Instant::from_millis(15)));
    // Woken early, the call is made again and its deadline stays where it was.
    kernel.wake(ProcessSet::ALL);
    run(&mut kernel, &mut cpu, &mut objects, at(9));
    assert_eq!(kernel.next_deadline(), Some(Instant::from_millis(15)));
    kernel.wake_expired(Instant::from_millis(14));
    assert_eq!(kernel.runnable(), 0);
    kernel.wake_expired(Instant::from_millis(15));
    run(&mut kernel, &mut cpu, &mut objects, at(15));
    assert_eq!(cpu.results, [(0, 0)]);
}

#[test]
fn a_fault_ends_the_process_and_the_others_go_on() {
    let (mut kernel, mut cpu, mut objects) = (kernel(2), FakeProcessor::new(2), FakeObjects::default());
    cpu.start_all(&mut kernel);
    cpu.traps[0].push_back(Trap::Fault(Fault { name: "#PF", error: 4, address: 0, instruction: 1, stack: 2 }));
    run(&mut kernel, &mut cpu, &mut objects, at(0));
    let ended = kernel.process(ProcessId::new(0)).unwrap();
    assert_eq!((ended.status(), ended.state()), (Some(STATUS_KILLED), State::Stopped));
    assert_eq!(ended.fault().map(|fault| fault.name), Some("#PF"));
    assert_eq!(ended.open_descriptors(), 0);
    assert_eq!(objects.abandoned, [0]);
    assert_ne!(run(&mut kernel, &mut cpu, &mut objects, at(0)), Step::Idle);
    assert_eq!(cpu.runs, [0, 1]);
}

#[test]
fn a_process_that_is_started_is_loaded_first_and_started_once() {
    let (mut kernel, mut cpu, mut objects) = (kernel(1), FakeProcessor::new(1), FakeObjects::default());
    let id = ProcessId::new(0);
    let start =
        |kernel: &mut Kernel, cpu: &mut FakeProcessor| kernel.start(id, ["x"].into_iter(), Instant::BOOT, cpu, &Token);
    for run in 1..3 {
        assert_eq!(start(&mut kernel, &mut cpu), Ok(()));
        assert_eq!(kernel.process(id).unwrap().state(), State::Loading);
        assert!(kernel.process(id).unwrap().is_running());
        assert_eq!(start(&mut kernel, &mut cpu), Err(StartError::Running));
        cpu.run_loader(&mut kernel, &mut objects, id);
        let process = kernel.process(id).unwrap();
        assert_eq!((process.state(), process.starts), (State::Ready, run));
        assert_eq!(cpu.blocks[0], b"p0\0x\0");
        assert_eq!(start(&mut kernel, &mut cpu), Err(StartError::Running));
        kernel.kill(id, &mut objects, Instant::BOOT, &Token);
    }
}

#[test]
fn arguments_that_do_not_fit_start_nothing() {
    let (mut kernel, mut cpu) = (kernel(1), FakeProcessor::new(1));
    cpu.load_all(&mut kernel);
    let long = "x".repeat(ARGUMENTS_MAX);
    let id = ProcessId::new(0);
    let result = kernel.start(id, [long.as_str()].into_iter(), Instant::BOOT, &mut cpu, &Token);
    let need = ArgumentsTooLong { bytes: ARGUMENTS_MAX + 4, most: ARGUMENTS_MAX };
    assert_eq!(result, Err(StartError::ArgumentsTooLong(need)));
    assert_eq!(kernel.process(id).unwrap().state(), State::Stopped);
    assert!(!kernel.process(id).unwrap().is_running());
    kernel.start(id, ["a", "b c"].into_iter(), Instant::BOOT, &mut cpu, &Token).unwrap();
    assert_eq!(cpu.blocks[0], b"p0\0a\0b c\0");
}

#[test]
fn a_command_of_8_kib_starts_a_process_with_all_of_it() {
    let (mut kernel, mut cpu) = (kernel(1), FakeProcessor::new(1));
    cpu.load_all(&mut kernel);
    // Of `p0 --option x...x` the blank and the end become NULs.
    let url = "x".repeat(8 * 1024 - "p0 -o ".len());
    let id = ProcessId::new(0);
    kernel.start(id, ["-o", &url].into_iter(), Instant::BOOT, &mut cpu, &Token).unwrap();
    assert_eq!(cpu.blocks[0], format!("p0\0-o\0{url}\0").as_bytes());
}

#[test]
fn as_many_arguments_as_their_bytes_allow_are_passed() {
    let (mut kernel, mut cpu) = (kernel(1), FakeProcessor::new(1));
    cpu.load_all(&mut kernel);
    let many = (0..ARGUMENTS_MAX - 3).map(|_| "");
    kernel.start(ProcessId::new(0), many, Instant::BOOT, &mut cpu, &Token).unwrap();
    assert_eq!(cpu.blocks[0].len(), ARGUMENTS_MAX);
}

static PRIORITIES: [Configuration; 3] = [
    configuration("low", Restart::Never, 5),
    configuration("high", Restart::Never, 1),
    configuration("high too", Restart::Never, 1),
];

#[test]
fn the_most_important_priority_runs_and_equals_take_turns() {
    let (mut kernel, mut cpu, mut objects) = (kernel_of(&PRIORITIES), FakeProcessor::new(3), FakeObjects::default());
    cpu.start_all(&mut kernel);
    let now = ticking(TIME_SLICE);
    for _ in 0..4 {
        run(&mut kernel, &mut cpu, &mut objects, &now);
    }
    assert_eq!(cpu.runs, [1, 2, 1, 2]);
    for index in [1, 2] {
        cpu.traps[index].push_back(call(Syscall::Sleep, [10, 0, 0, 0, 0, 0]));
    }
    for _ in 0..3 {
        run(&mut kernel, &mut cpu, &mut objects, at(0));
    }
    assert_eq!(cpu.runs.last(), Some(&0), "the others wait");
}

#[test]
fn who_was_woken_goes_before_its_equals_alone_and_of_several_the_first_in_turn() {
    let (mut kernel, mut cpu, mut objects) = (kernel_of(&PRIORITIES), FakeProcessor::new(3), FakeObjects::default());
    cpu.load_all(&mut kernel);
    let sleep = || call(Syscall::Sleep, [10, 0, 0, 0, 0, 0]);
    let start = |kernel: &mut Kernel, cpu: &mut FakeProcessor, index| {
        kernel.start(ProcessId::new(index), [].into_iter(), Instant::BOOT, cpu, &Token).unwrap();
    };
    // The less important one sleeps before another is there, and is woken while that computes.
    cpu.traps[0].push_back(sleep());
    start(&mut kernel, &mut cpu, 0);
    run(&mut kernel, &mut cpu, &mut objects, at(0));
    start(&mut kernel, &mut cpu, 2);
    kernel.wake_expired(Instant::from_millis(10));
    assert!(!kernel.next_is_woken());
    run(&mut kernel, &mut cpu, &mut objects, at(10));
    assert_eq!((cpu.runs.as_slice(), cpu.results.as_slice()), ([0, 2].as_slice(), [].as_slice()));
    // Now the important ones sleep, the later one of the table first, and all three are woken.
    start(&mut kernel, &mut cpu, 1);
    for index in [1, 2] {
        cpu.traps[index].extend([sleep(), sleep()]);
    }
    for _ in 0..2 {
        run(&mut kernel, &mut cpu, &mut objects, at(10));
    }
    kernel.wake_expired(Instant::from_millis(20));
    while kernel.runnable() > 0 && cpu.results.len() < 3 {
        assert!(kernel.next_is_woken());
        run(&mut kernel, &mut cpu, &mut objects, at(20));
    }
    assert_eq!(cpu.results, [(2, 0), (1, 0), (0, 0)]);
}

static RESTARTING: [Configuration; 1] = [configuration(
    "restarting",
    Restart::Backoff { first: Duration::from_millis(100), maximum: Duration::from_millis(350) },
    3,
)];

/// Starts the first process and loads it, in no time.
fn start_at(kernel: &mut Kernel, cpu: &mut FakeProcessor, millis: u64) {
    let (id, mut objects) = (ProcessId::new(0), FakeObjects::default());
    kernel.start(id, [].into_iter(), Instant::from_millis(millis), cpu, &Token).unwrap();
    while kernel.process(id).unwrap().state() == State::Loading {
        run(kernel, cpu, &mut objects, at(millis));
        objects.serve(kernel, cpu);
    }
}

#[test]
fn a_process_that_keeps_ending_is_started_again_ever_later() {
    let (mut kernel, mut cpu, mut objects) = (kernel_of(&RESTARTING), FakeProcessor::new(1), FakeObjects::default());
    let id = ProcessId::new(0);
    let mut now = 0;
    for wait in [100, 200, 350, 350] {
        start_at(&mut kernel, &mut cpu, now);
        cpu.traps[0].push_back(call(Syscall::Exit, [1, 0, 0, 0, 0, 0]));
        run(&mut kernel, &mut cpu, &mut objects, at(now));
        assert_eq!(kernel.next_deadline(), Some(Instant::from_millis(now + wait)));
        assert_eq!(kernel.take_due_restart(Instant::from_millis(now + wait - 1)), None);
        now += wait;
        assert_eq!(kernel.take_due_restart(Instant::from_millis(now)), Some(id));
        assert_eq!(kernel.take_due_restart(Instant::from_millis(now)), None, "once");
    }
    // A run that lasts makes the next wait short again.
    start_at(&mut kernel, &mut cpu, now);
    cpu.traps[0].push_back(Trap::Fault(Fault { name: "#PF", error: 0, address: 0, instruction: 0, stack: 0 }));
    run(&mut kernel, &mut cpu, &mut objects, at(now + 350));
    assert_eq!(kernel.next_deadline(), Some(Instant::from_millis(now + 450)));
}

#[test]
fn a_process_that_was_killed_stays_down() {
    let (mut kernel, mut cpu, mut objects) = (kernel_of(&RESTARTING), FakeProcessor::new(1), FakeObjects::default());
    cpu.start_all(&mut kernel);
    kernel.kill(ProcessId::new(0), &mut objects, Instant::BOOT, &Token);
    assert_eq!(kernel.next_deadline(), None);
    assert_eq!(objects.abandoned, [0]);
    // Nor does one start that was killed while it waited for its restart.
    start_at(&mut kernel, &mut cpu, 0);
    cpu.traps[0].push_back(call(Syscall::Exit, [0; 6]));
    run(&mut kernel, &mut cpu, &mut objects, at(0));
    assert!(kernel.next_deadline().is_some());
    kernel.kill(ProcessId::new(0), &mut objects, Instant::BOOT, &Token);
    assert_eq!(kernel.next_deadline(), None);
}

#[test]
fn a_process_that_crashes_in_a_loop_writes_a_line_a_second() {
    const FIRST: Duration = Duration::from_millis(1);
    static LOOP: [Configuration; 2] = [
        configuration("loop", Restart::Backoff { first: FIRST, maximum: FIRST }, 3),
        configuration("once", Restart::Never, 3),
    ];
    let (mut kernel, mut cpu, mut objects) = (kernel_of(&LOOP), FakeProcessor::new(2), FakeObjects::default());
    let fault = || Trap::Fault(Fault { name: "#UD", error: 0, address: 0, instruction: 0, stack: 0 });
    for (index, (least, most)) in [(8, 2 * (8 + 10)), (10_000, 10_000)].into_iter().enumerate() {
        let id = ProcessId::new(index as u8);
        let before = slopos_host_log::lines();
        for millisecond in 0..10_000 {
            kernel.start(id, [].into_iter(), Instant::from_millis(millisecond), &mut cpu, &Token).unwrap();
            cpu.run_loader(&mut kernel, &mut objects, id);
            cpu.traps[index].push_back(fault());
            assert_eq!(run(&mut kernel, &mut cpu, &mut objects, at(millisecond)), Step::Yielded);
        }
        let lines = slopos_host_log::lines() - before;
        assert!((least..=most).contains(&lines), "{lines} lines");
    }
}
