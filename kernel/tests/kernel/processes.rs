//! What can be learnt of a process, and what is said of one that cannot be loaded.

use crate::support::{FIRST, FakeObjects, FakeProcessor, kernel, kernel_of, run};
use slopos_abi::Syscall;
use slopos_abi::flash::AppVersion;
use slopos_host_log::Token;
use slopos_kernel::kernel::Kernel;
use slopos_kernel::log_budget::LOG_BURST;
use slopos_kernel::process::ConsoleAccess;
use slopos_kernel::process::{Configuration, Ending, Restart, State};
use slopos_kernel::process::{ProcessId, ProcessSet};
use slopos_kernel::processor::{Call, Trap};
use slopos_kernel::scheduler::Step;
use slopos_kernel::time::{Duration, Instant};

const fn configuration(name: &'static str, app: &'static str, arguments: &'static [&'static str]) -> Configuration {
    let restart = Restart::Never;
    let console = ConsoleAccess::Output;
    Configuration {
        name,
        app,
        minimum_version: AppVersion::new(0),
        arguments,
        start_at_boot: false,
        opens: &[],
        restart,
        priority: 3,
        console,
    }
}

static CONFIGURATIONS: [Configuration; 3] = [
    configuration("one", "app", &["-v", "first"]),
    configuration("two", "other", &[]),
    configuration("three", "app", &[]),
];

fn start(kernel: &mut Kernel, cpu: &mut FakeProcessor, id: ProcessId, arguments: &[&'static str]) {
    kernel.start(id, arguments.iter().copied(), Instant::BOOT, cpu, &Token).unwrap();
}

#[test]
fn processes_are_found_by_their_names() {
    let kernel = kernel_of(&CONFIGURATIONS);
    assert_eq!(["one", "two", "three"].map(|name| kernel.find(name)), [0, 1, 2].map(|id| Some(ProcessId::new(id))));
    assert_eq!((kernel.find("app"), kernel.find("")), (None, None));
    let names: Vec<_> = kernel.processes().map(|(id, process)| (id.index(), process.configuration.name)).collect();
    assert_eq!(names, [(0, "one"), (1, "two"), (2, "three")]);
    assert!(kernel.process(ProcessId::new(3)).is_none());
}

#[test]
fn the_arguments_of_the_command_replace_those_of_the_manifest() {
    let (mut kernel, mut cpu, mut objects) =
        (kernel_of(&CONFIGURATIONS), FakeProcessor::new(3), FakeObjects::default());
    for (arguments, block) in [(&[][..], &b"one\0-v\0first\0"[..]), (&["x"][..], b"one\0x\0")] {
        start(&mut kernel, &mut cpu, FIRST, arguments);
        assert_eq!(cpu.blocks[0], block);
        kernel.kill(FIRST, &mut objects, Instant::BOOT, &Token);
    }
}

#[test]
fn a_program_that_is_loaded_ahead_neither_runs_nor_is_loaded_again() {
    let (mut kernel, mut cpu, mut objects) = (kernel(2), FakeProcessor::new(2), FakeObjects::default());
    kernel.load(FIRST, &Token);
    let process = |kernel: &Kernel| {
        let process = kernel.process(FIRST).unwrap();
        (process.state(), process.is_running(), process.is_starting())
    };
    assert_eq!(process(&kernel), (State::Loading, false, false));
    kernel.kill(FIRST, &mut objects, Instant::BOOT, &Token);
    assert_eq!(process(&kernel), (State::Loading, false, false), "there is nothing to kill");
    cpu.run_loader(&mut kernel, &mut objects, FIRST);
    assert_eq!(process(&kernel), (State::Stopped, false, false));
    assert_eq!((kernel.runnable(), kernel.process(FIRST).unwrap().open_descriptors()), (0, 0));
    assert_eq!(run(&mut kernel, &mut cpu, &mut objects, || Instant::BOOT), Step::Idle);
    kernel.load(FIRST, &Token);
    assert_eq!(process(&kernel), (State::Stopped, false, false), "it is there");
    start(&mut kernel, &mut cpu, FIRST, &[]);
    assert_eq!(process(&kernel), (State::Ready, true, false));
    assert_eq!(kernel.process(FIRST).unwrap().open_descriptors(), 3);
    // Another is started before it is loaded.
    start(&mut kernel, &mut cpu, ProcessId::new(1), &[]);
    let other = kernel.process(ProcessId::new(1)).unwrap();
    assert!(other.is_running() && other.is_starting());
}

#[test]
fn a_step_of_loading_is_told_once_and_no_other_step_is() {
    let (mut kernel, mut cpu, mut objects) = (kernel(1), FakeProcessor::new(1), FakeObjects::default());
    assert!(!kernel.take_load_step());
    kernel.load(FIRST, &Token);
    assert_eq!(run(&mut kernel, &mut cpu, &mut objects, || Instant::BOOT), Step::Running);
    assert!(kernel.take_load_step() && !kernel.take_load_step());
    cpu.run_loader(&mut kernel, &mut objects, FIRST);
    assert!(kernel.take_load_step());
    start(&mut kernel, &mut cpu, FIRST, &[]);
    run(&mut kernel, &mut cpu, &mut objects, || Instant::BOOT);
    assert!(!kernel.take_load_step());
}

#[test]
fn how_a_run_ended_is_told_until_the_next_begins() {
    let (mut kernel, mut cpu, mut objects) = (kernel(1), FakeProcessor::new(1), FakeObjects::default());
    cpu.start_all(&mut kernel);
    let end = |kernel: &Kernel| {
        let process = kernel.process(FIRST).unwrap();
        (process.status(), process.fault().is_some(), process.restart_at())
    };
    assert_eq!(end(&kernel), (None, false, None));
    cpu.traps[0].push_back(Trap::SystemCall(Call { number: Syscall::Exit.number(), arguments: [42, 0, 0, 0, 0, 0] }));
    assert_eq!(run(&mut kernel, &mut cpu, &mut objects, || Instant::BOOT), Step::Yielded);
    assert_eq!(end(&kernel), (Some(42), false, None));
    start(&mut kernel, &mut cpu, FIRST, &[]);
    assert_eq!(end(&kernel), (None, false, None));
}

#[test]
fn a_process_that_is_stopped_closes_what_it_holds_and_stays_down() {
    static CLOCK: [Configuration; 1] = [Configuration {
        restart: Restart::Backoff { first: Duration::from_millis(1), maximum: Duration::from_millis(1) },
        ..configuration("clock", "app", &[])
    }];
    let (mut kernel, mut cpu, mut objects) = (kernel_of(&CLOCK), FakeProcessor::new(1), FakeObjects::default());
    cpu.start_all(&mut kernel);
    // It waits when it is stopped, so its call is forgotten too.
    cpu.traps[0]
        .push_back(Trap::SystemCall(Call { number: Syscall::Sleep.number(), arguments: [1_000, 0, 0, 0, 0, 0] }));
    run(&mut kernel, &mut cpu, &mut objects, || Instant::BOOT);
    let process = kernel.process(FIRST).unwrap();
    assert_eq!((process.state(), process.open_descriptors(), process.ending()), (State::Waiting, 3, None));
    kernel.stop(FIRST, &mut objects, Instant::BOOT, &Token);
    assert_eq!((objects.closed, objects.exited.as_slice(), objects.abandoned.as_slice()), (3, &[0][..], &[][..]));
    let process = kernel.process(FIRST).unwrap();
    assert_eq!((process.status(), process.ending()), (Some(110), Some(Ending::Stopped)));
    assert_eq!((process.state(), process.open_descriptors(), kernel.next_deadline()), (State::Stopped, 0, None));
    // One that does not run is not ended again, and does not start by itself.
    kernel.stop(FIRST, &mut objects, Instant::BOOT, &Token);
    assert_eq!((objects.closed, objects.exited.len()), (3, 1));
    assert_eq!(kernel.runnable(), 0);
}

#[test]
fn the_time_that_a_process_has_the_processor_is_counted_and_the_time_that_it_waits_is_not() {
    let (mut kernel, mut cpu, mut objects) = (kernel(1), FakeProcessor::new(1), FakeObjects::default());
    cpu.start_all(&mut kernel);
    let busy = |kernel: &Kernel| kernel.process(FIRST).unwrap().busy;
    assert_eq!(busy(&kernel), Duration::ZERO);
    cpu.traps[0].push_back(Trap::Interrupt);
    cpu.traps[0]
        .push_back(Trap::SystemCall(Call { number: Syscall::Sleep.number(), arguments: [1_000, 0, 0, 0, 0, 0] }));
    let at = Instant::from_millis;
    kernel.run_next(&mut cpu, &mut objects, at(10), || at(13));
    kernel.run_next(&mut cpu, &mut objects, at(13), || at(20));
    assert_eq!(busy(&kernel), Duration::from_millis(10));
    kernel.wake_expired(at(2_000));
    cpu.traps[0].push_back(Trap::Interrupt);
    kernel.run_next(&mut cpu, &mut objects, at(2_000), || at(2_000));
    kernel.run_next(&mut cpu, &mut objects, at(2_000), || at(2_001));
    assert_eq!(busy(&kernel), Duration::from_millis(11));
}

#[test]
fn when_a_process_starts_again_is_told() {
    static KEPT_UP: [Configuration; 1] = [Configuration {
        restart: Restart::Backoff { first: Duration::from_secs(2), maximum: Duration::from_secs(9) },
        ..configuration("kept up", "app", &[])
    }];
    let (mut kernel, mut cpu, mut objects) = (kernel_of(&KEPT_UP), FakeProcessor::new(1), FakeObjects::default());
    cpu.start_all(&mut kernel);
    cpu.traps[0].push_back(Trap::SystemCall(Call { number: Syscall::Exit.number(), arguments: [0; 6] }));
    run(&mut kernel, &mut cpu, &mut objects, || Instant::from_millis(500));
    assert_eq!(kernel.process(FIRST).unwrap().restart_at(), Some(Instant::from_millis(2_500)));
}

#[test]
fn the_states_have_words() {
    let states = [State::NoImage, State::Stopped, State::Loading, State::Ready, State::Waiting];
    assert_eq!(states.map(State::word), ["no-image", "stopped", "loading", "ready", "waiting"]);
}

/// Tries to load this process's program so often in no time; answers how many lines were written.
fn lines_of_failed_loads(objects: &mut FakeObjects, id: u8, times: usize) -> usize {
    let (mut kernel, mut cpu) = (kernel_of(&CONFIGURATIONS), FakeProcessor::new(3));
    let before = slopos_host_log::lines();
    for _ in 0..times {
        start(&mut kernel, &mut cpu, ProcessId::new(id), &[]);
        cpu.run_loader(&mut kernel, objects, ProcessId::new(id));
        assert_eq!(kernel.process(ProcessId::new(id)).unwrap().state(), State::NoImage);
    }
    slopos_host_log::lines() - before
}

#[test]
fn each_program_that_cannot_be_loaded_is_said_within_a_budget_but_not_for_want_of_a_flash() {
    let mut objects = FakeObjects { broken: true, ..FakeObjects::default() };
    assert_eq!(lines_of_failed_loads(&mut objects, 0, 1), 1, "the device fails");
    assert_eq!(lines_of_failed_loads(&mut objects, 0, 100), LOG_BURST as usize);
    assert_eq!(lines_of_failed_loads(&mut objects, 1, 3), 3, "there is no such app");
    objects.missing = true;
    assert_eq!(lines_of_failed_loads(&mut objects, 0, 3), 0);
}

#[test]
fn only_who_waits_is_woken() {
    let (mut kernel, mut cpu, mut objects) = (kernel(2), FakeProcessor::new(2), FakeObjects::default());
    start(&mut kernel, &mut cpu, FIRST, &[]);
    kernel.wake(ProcessSet::ALL);
    assert!(!kernel.next_is_woken(), "it is being loaded and has something to do");
    while kernel.runnable() > 0 {
        run(&mut kernel, &mut cpu, &mut objects, || Instant::BOOT);
    }
    kernel.kill(FIRST, &mut objects, Instant::BOOT, &Token);
    kernel.wake(ProcessSet::ALL);
    assert_eq!(
        (kernel.runnable(), kernel.process(FIRST).unwrap().state()),
        (0, State::Stopped),
        "it waited when killed"
    );
}

#[test]
fn what_is_woken_while_it_is_loaded_asks_again_and_begins_once() {
    let (mut kernel, mut cpu, mut objects) = (kernel(2), FakeProcessor::new(2), FakeObjects::default());
    start(&mut kernel, &mut cpu, FIRST, &[]);
    while kernel.runnable() > 0 {
        run(&mut kernel, &mut cpu, &mut objects, || Instant::BOOT);
    }
    // Nothing has arrived: it asks for the same again, and waits again.
    for _ in 0..3 {
        kernel.wake(ProcessSet::ALL);
        assert_eq!((kernel.runnable(), kernel.process(FIRST).unwrap().state()), (1, State::Loading));
        run(&mut kernel, &mut cpu, &mut objects, || Instant::BOOT);
        assert_eq!((kernel.runnable(), objects.fetches.len()), (0, 1));
    }
    cpu.run_loader(&mut kernel, &mut objects, FIRST);
    objects.serve(&mut kernel, &mut cpu);
    assert_eq!(kernel.process(FIRST).unwrap().starts, 1);
}
