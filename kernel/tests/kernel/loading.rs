//! How processes come by their programs: checked, step by step, at their own expense.

use crate::support::{Bench, FIRST, FakeObjects, FakeProcessor, MEMORY, TRUST, configuration, kernel_of, run, sign};
use sha2::{Digest, Sha256};
use slopos_abi::Syscall;
use slopos_abi::flash::{self, AppHeader, EXECUTE, READ, SECTOR, Segment, WRITE};
use slopos_host_log::Token;
use slopos_kernel::loader::{HASH_BYTES, READ_BYTES};
use slopos_kernel::process::{Configuration, ProcessId, Restart, State};
use slopos_kernel::processor::{Call, Fault, Trap};
use slopos_kernel::scheduler::{Step, TIME_SLICE};
use slopos_kernel::time::{Duration, Instant};
use std::cell::Cell;
use zerocopy::{FromBytes, IntoBytes};

/// Bytes of RAM of a process here.
const RAM: usize = 16384;
/// Bytes of the data that the program is loaded with.
const DATA: usize = 1000;
/// Where they are in RAM and in the record.
const DATA_AT: usize = 8192;
const DATA_OFFSET: usize = 6512;

static ONE: [Configuration; 1] = [configuration("p0", Restart::Never, 3)];

fn header() -> AppHeader {
    let mut header = AppHeader::read_from_bytes(&[0; SECTOR]).unwrap();
    header.magic = flash::APP_MAGIC;
    header.version = flash::RECORD_VERSION;
    header.name = flash::name_bytes("app").unwrap();
    header.board = flash::name_bytes(TRUST.board).unwrap();
    header.segment_count = 2;
    header.entry = MEMORY;
    header.segments[0] = Segment {
        address: MEMORY,
        memory_bytes: 6000,
        file_bytes: 6000,
        offset: 512,
        flags: READ | EXECUTE,
        reserved: 0,
    };
    header.segments[1] = Segment {
        address: MEMORY + DATA_AT as u64,
        memory_bytes: 5000,
        file_bytes: DATA as u32,
        offset: DATA_OFFSET as u32,
        flags: READ | WRITE,
        reserved: 0,
    };
    header.record_bytes = 15 * 512;
    header
}

/// The record of a version of the program: each byte of its code and its data tells which.
fn record_of(mut header: AppHeader, version: u8) -> Vec<u8> {
    let mut body = vec![version; 6000];
    body.extend([version ^ 0x55; DATA]);
    body.resize((header.record_bytes as usize).clamp(SECTOR, 1 << 20) - SECTOR, 0);
    header.sha256 = Sha256::digest(&body).into();
    sign(&mut header);
    [header.as_bytes(), &body].concat()
}

fn bench(flash: Vec<u8>) -> Bench {
    let objects = FakeObjects { flash, slot_sectors: 20, ..FakeObjects::default() };
    Bench { kernel: kernel_of(&ONE), cpu: FakeProcessor::with_ram(1, RAM), objects }
}

impl Bench {
    /// The process has run, and has changed what it could.
    fn stop(&mut self) {
        self.cpu.memory[0][DATA_AT..].fill(0xee);
        self.kernel.kill(FIRST, &mut self.objects, Instant::BOOT, &Token);
    }

    /// Whether RAM is just as this version's program begins.
    fn holds(&self, version: u8) -> bool {
        let ram = &self.cpu.memory[0];
        let is = |range: &[u8], byte: u8| range.iter().all(|&found| found == byte);
        is(&ram[..6000], version)
            && is(&ram[6000..DATA_AT], 0)
            && is(&ram[DATA_AT..DATA_AT + DATA], version ^ 0x55)
            && is(&ram[DATA_AT + DATA..], 0)
    }
}

#[test]
fn a_good_record_lands_where_its_segments_say_and_is_mapped() {
    let mut bench = bench(record_of(header(), 7));
    bench.cpu.memory[0].fill(0xff);
    assert_eq!(bench.start(), State::Ready);
    assert!(bench.holds(7));
    assert_eq!(bench.cpu.images[0].as_ref().unwrap().segments.len(), 2);
}

#[test]
fn a_flipped_bit_anywhere_rejects_the_record() {
    let good = record_of(header(), 7);
    for position in (0..good.len()).step_by(97).chain([30, 400, 511, 513, 6511, 7511, 7512, 7679]) {
        let mut bad = good.clone();
        bad[position] ^= 1;
        let mut bench = bench(bad);
        assert_eq!(bench.start(), State::NoImage, "byte {position}");
        assert!(bench.cpu.images[0].is_none(), "byte {position}");
    }
}

#[test]
fn what_a_hostile_header_claims_is_refused_before_there_is_work_to_do() {
    type Case = (&'static str, fn(&mut AppHeader));
    let cases: [Case; 21] = [
        ("writable code", |h| h.segments[0].flags |= WRITE),
        ("shared page", |h| h.segments[1].address = MEMORY + 4096),
        ("not a page", |h| h.segments[1].address += 8),
        ("below the window", |h| h.segments[0].address = 0),
        ("wraps around", |h| h.segments[1].address = u64::MAX - 4095),
        ("beyond the record", |h| h.segments[1].offset = 7168),
        ("beyond all", |h| h.segments[1].offset = u32::MAX),
        ("in the header", |h| h.segments[0].offset = 0),
        ("over the other", |h| h.segments[1].offset = 600),
        ("far behind the other", |h| {
            h.record_bytes = 2 << 30;
            h.segments[1].offset = 1 << 30;
        }),
        ("more in the file than in memory", |h| h.segments[1].memory_bytes = 4),
        ("all of the file", |h| h.segments[1].file_bytes = u32::MAX),
        ("all of the file, and of memory", |h| {
            (h.segments[1].file_bytes, h.segments[1].memory_bytes) = (u32::MAX, u32::MAX);
            h.record_bytes = (u64::from(u32::MAX) + 8192).next_multiple_of(512);
        }),
        ("more memory than there is", |h| h.segments[1].memory_bytes = 8193),
        ("too many segments", |h| h.segment_count = 9),
        ("more segments than there can be", |h| h.segment_count = u32::MAX),
        ("no segments", |h| h.segment_count = 0),
        ("entry in data", |h| h.entry = MEMORY + DATA_AT as u64),
        ("longer than the slot", |h| h.record_bytes = (20 << 22) * 512 + 512),
        ("2 GiB of nothing", |h| h.record_bytes = 2 << 30),
        ("no whole sectors", |h| h.record_bytes += 1),
    ];
    for (case, spoil) in cases {
        let mut header = header();
        spoil(&mut header);
        let mut bench = bench(record_of(header, 7));
        // A slot of gigabytes, so that the slot is not what bounds it.
        bench.objects.slot_sectors = 20 << 22;
        assert_eq!(bench.start(), State::NoImage, "{case}");
        assert!(bench.objects.reads.len() <= 1, "{case}: {:?}", bench.objects.reads);
    }
}

#[test]
fn nothing_longer_is_read_than_a_record_that_fills_the_ram() {
    let mut bench = bench(record_of(header(), 7));
    bench.objects.slot_sectors = 20 << 22;
    assert_eq!(bench.start(), State::Ready);
    let bytes: usize = bench.objects.reads.iter().map(|&(_, length)| length).sum();
    assert!(bytes <= READ_BYTES, "{:?}", bench.objects.reads);
}

#[test]
fn loading_goes_in_small_steps_and_none_runs_while_the_flash_is_at_work() {
    let mut bench = bench(record_of(header(), 7));
    bench.kernel.start(FIRST, [].into_iter(), Instant::BOOT, &mut bench.cpu, &Token).unwrap();
    let mut steps = 0;
    while bench.state() == State::Loading {
        steps += 1;
        run(&mut bench.kernel, &mut bench.cpu, &mut bench.objects, || Instant::BOOT);
        if bench.kernel.runnable() == 0 {
            assert_eq!(bench.kernel.next_deadline(), None);
            let idle = run(&mut bench.kernel, &mut bench.cpu, &mut bench.objects, || Instant::BOOT);
            assert_eq!((idle, bench.objects.fetches.len()), (Step::Idle, 1));
            bench.objects.serve(&mut bench.kernel, &mut bench.cpu);
        }
    }
    assert!(bench.holds(7));
    assert!(steps > 15 * SECTOR / HASH_BYTES, "{steps} steps");
}

#[test]
fn the_next_run_reads_the_data_again_and_not_the_code() {
    let mut bench = bench(record_of(header(), 7));
    assert_eq!(bench.start(), State::Ready);
    for _ in 0..3 {
        bench.stop();
        assert_eq!(bench.start(), State::Ready);
        assert!(bench.holds(7));
        // The header, and the sectors of the data.
        assert_eq!(bench.objects.reads, [(0, 512), (12, 1536)]);
    }
}

#[test]
fn a_new_version_in_the_flash_is_loaded_in_full() {
    let mut bench = bench(record_of(header(), 7));
    assert_eq!(bench.start(), State::Ready);
    bench.stop();
    bench.objects.flash = record_of(header(), 8);
    assert_eq!(bench.start(), State::Ready);
    assert!(bench.holds(8));
}

#[test]
fn two_versions_never_mix_whenever_the_flash_changes() {
    let (old, new) = (record_of(header(), 7), record_of(header(), 8));
    // The flash changes between any two reads of a restart, in its header, its data, or both.
    for change in 0..8 {
        for part in [0..SECTOR, SECTOR..old.len(), 0..old.len(), DATA_OFFSET..DATA_OFFSET + 1] {
            let mut bench = bench(old.clone());
            assert_eq!(bench.start(), State::Ready);
            bench.stop();
            bench.kernel.start(FIRST, [].into_iter(), Instant::BOOT, &mut bench.cpu, &Token).unwrap();
            let mut served = 0;
            while bench.state() == State::Loading {
                run(&mut bench.kernel, &mut bench.cpu, &mut bench.objects, || Instant::BOOT);
                if !bench.objects.fetches.is_empty() {
                    if served == change {
                        bench.objects.flash[part.clone()].copy_from_slice(&new[part.clone()]);
                    }
                    served += 1;
                    bench.objects.serve(&mut bench.kernel, &mut bench.cpu);
                }
            }
            match bench.state() {
                State::Ready => assert!(bench.holds(7) || bench.holds(8), "{part:?} at read {change}"),
                state => assert_eq!(state, State::NoImage, "{part:?} at read {change}"),
            }
            // What is whole is found whole.
            bench.objects.flash = new.clone();
            bench.stop();
            assert_eq!(bench.start(), State::Ready);
            assert!(bench.holds(8));
        }
    }
}

#[test]
fn damage_to_the_data_under_a_good_header_is_found_at_a_restart() {
    let mut bench = bench(record_of(header(), 7));
    assert_eq!(bench.start(), State::Ready);
    bench.stop();
    bench.objects.flash[DATA_OFFSET + 400] ^= 1;
    assert_eq!(bench.start(), State::NoImage);
    bench.objects.flash[DATA_OFFSET + 400] ^= 1;
    assert_eq!(bench.start(), State::Ready);
    assert!(bench.holds(7));
}

#[test]
fn a_process_that_is_killed_while_it_is_loaded_never_begins() {
    let mut bench = bench(record_of(header(), 7));
    for kill_after in 0..12 {
        bench.kernel.start(FIRST, [].into_iter(), Instant::BOOT, &mut bench.cpu, &Token).unwrap();
        for _ in 0..kill_after {
            run(&mut bench.kernel, &mut bench.cpu, &mut bench.objects, || Instant::BOOT);
            bench.objects.serve(&mut bench.kernel, &mut bench.cpu);
        }
        run(&mut bench.kernel, &mut bench.cpu, &mut bench.objects, || Instant::BOOT);
        bench.kernel.kill(FIRST, &mut bench.objects, Instant::BOOT, &Token);
        assert_eq!((bench.state(), bench.kernel.runnable()), (State::Stopped, 0));
        // An answer that comes late is nobody's.
        let before = bench.cpu.memory[0].clone();
        bench.kernel.take_in(FIRST, &[0xab; READ_BYTES], &mut bench.cpu, &Token);
        assert!(bench.cpu.memory[0] == before);
        assert_eq!(bench.start(), State::Ready);
        assert!(bench.holds(7), "after a kill at step {kill_after}");
        bench.stop();
    }
}

static KEPT_UP: [Configuration; 1] = [configuration(
    "kept up",
    Restart::Backoff { first: Duration::from_millis(100), maximum: Duration::from_millis(400) },
    3,
)];

#[test]
fn what_is_kept_up_is_tried_again_when_the_flash_failed() {
    let (mut kernel, mut cpu) = (kernel_of(&KEPT_UP), FakeProcessor::with_ram(1, RAM));
    let mut objects =
        FakeObjects { flash: record_of(header(), 7), slot_sectors: 20, broken: true, ..Default::default() };
    let mut now = Instant::BOOT;
    kernel.start(FIRST, [].into_iter(), now, &mut cpu, &Token).unwrap();
    for wait in [100, 200, 400, 400] {
        while kernel.runnable() > 0 {
            run(&mut kernel, &mut cpu, &mut objects, || now);
        }
        assert_eq!(kernel.process(FIRST).unwrap().state(), State::NoImage);
        let at = kernel.next_deadline().unwrap();
        assert_eq!(at.since(now), Duration::from_millis(wait));
        now = at;
        assert_eq!(kernel.take_due_restart(now), Some(FIRST));
        kernel.start(FIRST, [].into_iter(), now, &mut cpu, &Token).unwrap();
    }
    objects.broken = false;
    cpu.run_loader(&mut kernel, &mut objects, FIRST);
    assert_eq!(kernel.process(FIRST).unwrap().state(), State::Ready);
}

const CRASHING: Restart = Restart::Backoff { first: Duration::from_millis(1), maximum: Duration::from_millis(1) };

static CRASHERS: [Configuration; 3] =
    [configuration("worker", Restart::Never, 0), configuration("one", CRASHING, 7), configuration("two", CRASHING, 7)];
static EQUALS: [Configuration; 2] = [configuration("worker", Restart::Never, 3), configuration("one", CRASHING, 3)];

/// Lets a worker compute for so long beside processes that crash as soon as they have been loaded, and be loaded again
/// and again. Each look at the clock takes `tick`, so a step of loading costs what it costs. Answers what of the time
/// was the worker's, in percent, and how often the others began.
fn worker_beside_crashers(configurations: &'static [Configuration], span: Duration) -> (u64, u32) {
    let count = configurations.len();
    let (mut kernel, mut cpu) = (kernel_of(configurations), FakeProcessor::with_ram(count, RAM));
    let mut objects = FakeObjects { flash: record_of(header(), 7), slot_sectors: 20, ..FakeObjects::default() };
    cpu.load_all(&mut kernel);
    let time = Cell::new(Instant::BOOT);
    let clock = || {
        time.set(time.get() + Duration::from_micros(300));
        time.get()
    };
    for id in (0..count as u8).map(ProcessId::new) {
        kernel.start(id, [].into_iter(), clock(), &mut cpu, &Token).unwrap();
    }
    let mut worked = Duration::ZERO;
    while time.get() < Instant::BOOT + span {
        while let Some(id) = kernel.take_due_restart(time.get()) {
            kernel.start(id, [].into_iter(), time.get(), &mut cpu, &Token).unwrap();
        }
        objects.serve(&mut kernel, &mut cpu);
        for traps in &mut cpu.traps[1..] {
            traps.clear();
            traps.push_back(Trap::Fault(Fault { name: "#UD", error: 0, address: 0, instruction: 0, stack: 0 }));
        }
        let (before, runs) = (time.get(), cpu.runs.len());
        clock();
        run(&mut kernel, &mut cpu, &mut objects, clock);
        if cpu.runs[runs..] == [0] {
            worked = worked + time.get().since(before);
        }
    }
    let starts = kernel.processes().skip(1).map(|(_, process)| process.starts).sum();
    (worked.as_micros() * 100 / span.as_micros(), starts)
}

#[test]
fn crashing_processes_of_the_lowest_priority_take_nothing_from_one_of_the_highest() {
    let (worked, starts) = worker_beside_crashers(&CRASHERS, Duration::from_secs(20));
    assert_eq!(starts, 2, "they are started, and wait for a processor that is never free");
    assert!(worked >= 99, "{worked} %");
}

#[test]
fn a_crashing_process_gets_no_more_than_the_share_of_an_equal_for_being_loaded() {
    let (worked, starts) = worker_beside_crashers(&EQUALS, Duration::from_secs(20));
    assert!(starts > 100, "{starts} starts");
    assert!(worked >= 45, "{worked} %");
}

#[test]
fn a_slice_is_charged_with_steps_of_loading() {
    let (mut kernel, mut cpu) = (kernel_of(&EQUALS), FakeProcessor::with_ram(2, RAM));
    let mut objects = FakeObjects { flash: record_of(header(), 7), slot_sectors: 20, ..FakeObjects::default() };
    for id in [0, 1].map(ProcessId::new) {
        kernel.start(id, [].into_iter(), Instant::BOOT, &mut cpu, &Token).unwrap();
    }
    let time = Cell::new(Instant::BOOT);
    let clock = || {
        time.set(time.get() + TIME_SLICE);
        time.get()
    };
    assert_eq!(kernel.slice(), Some(TIME_SLICE));
    assert_eq!(run(&mut kernel, &mut cpu, &mut objects, clock), Step::Yielded, "it has used its slice up");
}

#[test]
fn who_ended_is_started_again_ever_later_however_long_loading_takes() {
    let (mut kernel, mut cpu) = (kernel_of(&KEPT_UP), FakeProcessor::with_ram(1, RAM));
    let mut objects = FakeObjects { flash: record_of(header(), 7), slot_sectors: 20, ..FakeObjects::default() };
    let mut now = Instant::BOOT;
    kernel.start(FIRST, [].into_iter(), now, &mut cpu, &Token).unwrap();
    for wait in [100, 200, 400, 400] {
        // Loading lasts longer than a run that would count as sound.
        now += Duration::from_secs(5);
        while kernel.process(FIRST).unwrap().state() == State::Loading {
            run(&mut kernel, &mut cpu, &mut objects, || now);
            objects.serve(&mut kernel, &mut cpu);
        }
        cpu.traps[0]
            .push_back(Trap::SystemCall(Call { number: Syscall::Exit.number(), arguments: [1, 0, 0, 0, 0, 0] }));
        run(&mut kernel, &mut cpu, &mut objects, || now);
        let at = kernel.next_deadline().unwrap();
        assert_eq!(at.since(now), Duration::from_millis(wait));
        now = at;
        assert_eq!(kernel.take_due_restart(now), Some(FIRST));
        kernel.start(FIRST, [].into_iter(), now, &mut cpu, &Token).unwrap();
    }
}
