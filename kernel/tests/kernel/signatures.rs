//! Whose programs run: signed by a key that the kernel holds, for this board, not too old, and not changed since.

use crate::support::{
    Bench, FIRST, FakeObjects, FakeProcessor, KEY, TRUST, configuration, kernel_of, kernel_that_trusts, record, run,
    sign,
};
use slopos_abi::flash::{AppHeader, AppVersion, SECTOR, name_bytes};
use slopos_host_log::Token;
use slopos_kernel::kernel::Kernel;
use slopos_kernel::loader::{PublicKey, Trust, Unsigned};
use slopos_kernel::process::{Configuration, Restart, State};
use slopos_kernel::time::Instant;
use zerocopy::{FromBytes, IntoBytes};

fn bench(kernel: Kernel, flash: Vec<u8>) -> Bench {
    Bench { kernel, cpu: FakeProcessor::with_ram(1, 8192), objects: FakeObjects { flash, ..FakeObjects::default() } }
}

static ONE: [Configuration; 1] = [configuration("p0", Restart::Never, 3)];
static CAUTIOUS: [Configuration; 1] = [Configuration { minimum_version: AppVersion::new(0x0100_2003), ..ONE_OF }];
const ONE_OF: Configuration = configuration("p0", Restart::Never, 3);

/// The record with its header changed, and signed again if it is to be.
fn changed(signed: bool, change: impl FnOnce(&mut AppHeader)) -> Vec<u8> {
    let mut record = record();
    let (mut header, _) = AppHeader::read_from_prefix(&record).unwrap();
    change(&mut header);
    if signed {
        sign(&mut header);
    }
    record[..SECTOR].copy_from_slice(header.as_bytes());
    record
}

/// What becomes of a process with this record, and how many requests the flash had.
fn outcome(kernel: Kernel, flash: Vec<u8>) -> (State, usize) {
    let mut bench = bench(kernel, flash);
    let state = bench.start();
    (state, bench.objects.reads.len())
}

#[test]
fn each_flipped_bit_of_a_header_is_refused_after_one_read() {
    for bit in 0..SECTOR * 8 {
        let mut flash = record();
        flash[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(outcome(kernel_of(&ONE), flash), (State::NoImage, 1), "bit {bit}");
    }
    assert_eq!(outcome(kernel_of(&ONE), record()), (State::Ready, 1));
}

#[test]
fn a_record_of_another_app_or_board_is_refused_however_well_it_is_signed() {
    let other = || name_bytes("other").unwrap();
    assert_eq!(outcome(kernel_of(&ONE), changed(true, |h| h.name = other())).0, State::NoImage);
    assert_eq!(outcome(kernel_of(&ONE), changed(true, |h| h.board = other())).0, State::NoImage);
    assert_eq!(outcome(kernel_of(&ONE), changed(true, |_| ())).0, State::Ready);
}

#[test]
fn the_oldest_version_that_may_run_runs_and_none_before_it() {
    let cases =
        [(0, State::NoImage), (0x0100_2002, State::NoImage), (0x0100_2003, State::Ready), (u32::MAX, State::Ready)];
    for (version, state) in cases {
        let flash = changed(true, |h| h.app_version = version);
        assert_eq!(outcome(kernel_of(&CAUTIOUS), flash.clone()).0, state, "{version:#x}");
        assert_eq!(outcome(kernel_of(&ONE), flash).0, State::Ready);
    }
    // To claim a newer one breaks the signature.
    assert_eq!(outcome(kernel_of(&CAUTIOUS), changed(false, |h| h.app_version = u32::MAX)).0, State::NoImage);
}

const STRANGER: PublicKey = PublicKey { id: [7; 8], ..KEY };
static STRANGERS: Trust = Trust { board: "board", keys: &[STRANGER], unsigned: Unsigned::Refuse, development: false };
static SEVERAL: Trust =
    Trust { board: "board", keys: &[STRANGER, KEY], unsigned: Unsigned::Refuse, development: false };
static LENIENT: Trust = Trust { board: "board", keys: &[KEY], unsigned: Unsigned::Warn, development: false };

#[test]
fn a_key_counts_that_the_kernel_holds_and_no_other() {
    for (trust, state) in [(&STRANGERS, State::NoImage), (&SEVERAL, State::Ready), (&TRUST, State::Ready)] {
        assert_eq!(outcome(kernel_that_trusts(&ONE, trust), record()).0, state, "{:?}", trust.keys);
    }
}

#[test]
fn unsigned_programs_run_only_where_the_manifest_says_so() {
    let unsigned = || changed(false, |h| (h.key_id, h.signature) = ([0; 8], [0; 64]));
    assert_eq!(outcome(kernel_of(&ONE), unsigned()), (State::NoImage, 1));
    assert_eq!(outcome(kernel_that_trusts(&ONE, &LENIENT), unsigned()).0, State::Ready);
    // What is signed has to be signed well even there.
    let forged = changed(false, |h| h.signature[0] ^= 1);
    assert_eq!(outcome(kernel_that_trusts(&ONE, &LENIENT), forged).0, State::NoImage);
    let of_nobody = changed(false, |h| h.signature = [0; 64]);
    assert_eq!(outcome(kernel_that_trusts(&ONE, &LENIENT), of_nobody).0, State::NoImage);
}

#[test]
fn a_signature_is_checked_in_a_step_that_is_charged_to_the_process() {
    let mut forged = record();
    forged[511] ^= 1;
    let mut bench = bench(kernel_of(&ONE), forged);
    bench.kernel.start(FIRST, [].into_iter(), Instant::BOOT, &mut bench.cpu, &Token).unwrap();
    while bench.objects.fetches.is_empty() {
        run(&mut bench.kernel, &mut bench.cpu, &mut bench.objects, || Instant::BOOT);
    }
    // Taking in what arrives costs no signature; the next step of the process does.
    bench.objects.serve(&mut bench.kernel, &mut bench.cpu);
    assert_eq!(bench.state(), State::Loading);
    run(&mut bench.kernel, &mut bench.cpu, &mut bench.objects, || Instant::BOOT);
    assert_eq!(bench.state(), State::NoImage);
}
